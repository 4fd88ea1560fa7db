"""What each operation and stage is for, in words for somebody who wants to know how a pod comes to be."""

from __future__ import annotations

from collections.abc import Mapping

OPERATIONS: Mapping[str, str] = {
    "RunPodSandbox": "The kubelet asks for the pod's sandbox: what its containers will share. Namespaces are made and "
    "pinned, the network is attached, a cgroup waits for the containers. No process has to run yet: there is no pause "
    "container, and a pod that shares no PID namespace is a few bind mounts.",
    "CreateContainer": "The kubelet asks for a container in the sandbox. Its root file system is put together, its "
    "OCI configuration is written, and the runtime prepares everything up to the last step: the container's first "
    "process exists, inside its walls, and waits.",
    "StartContainer": "The kubelet lets the container go. Its first process, which has waited since it was created, "
    "becomes the program that the image or the pod names.",
}

STAGES: Mapping[str, str] = {
    "reserve": "One commit to the database reserves the name and opens a journal. From here on a server that is killed "
    "at any instruction knows what to take back when it starts again.",
    "namespaces": "A namespace lives as long as a process is in it, or a file is bound to it. So a thread makes new "
    "ones with unshare(2), binds each to a file, and ends: the pod's network, IPC and host name now exist without any "
    "process in them.",
    "files": "The pod's /etc/hosts, /etc/resolv.conf and /etc/hostname, and a tmpfs that its containers share as "
    "/dev/shm.",
    "cgroup": "A control group for the pod, in each hierarchy of the kernel: the limits of the whole pod, and the "
    "parent of its containers' own groups.",
    "pod init": "The containers share one PID namespace, and a PID namespace needs a process with number 1 that reaps "
    "orphans. It is forked for that alone, in an empty root, with no identity and no capability.",
    "network": "Each plugin of the CNI configuration is run in turn, with the network namespace's path and what the "
    "plugin before it answered. The first makes an interface in the namespace and gets an address for it; others open "
    "ports or limit bandwidth. It runs beside other stages, for it needs nothing but the namespace.",
    "commit": "One more commit: the result is visible, and the journal is settled. Only now does anybody see it.",
    "rootfs": "The image's layers, read-only and shared by every container of the image, are stacked by overlayfs "
    "under a writable layer of the container's own. Nothing is copied.",
    "image volumes": "Images that the pod mounts as volumes are mounted read-only, the same way as roots are.",
    "spec": "What the kubelet asked for becomes the OCI configuration that every runtime reads: the process with its "
    "user and capabilities, mounts, namespaces to join, limits, seccomp filter.",
    "runtime create": "A monitor is forked for the container: it will hold its output, write its log and note how it "
    "ends, also while this server is being upgraded. It runs the OCI runtime, which joins the namespaces, makes the "
    "container's own, mounts, drops privileges, and leaves a process that waits before its program.",
    "runtime start": "The waiting process sits in open(2) on a FIFO. Whoever opens the other end lets it go on to "
    "execve(2): that is all that starting is.",
}

FIRST = frozenset({"namespaces", "rootfs"})
"""Stages that a reader should see the inside of in any case."""


def operation(name: str) -> str:
    """What the operation is for; "" for one that has no words."""
    return OPERATIONS.get(name, "")


def stage(name: str) -> str:
    """What the stage is for; "" for one that has no words."""
    return STAGES.get(name, "")
