"""Kubernetes objects for tests, as plain values, and the images that they run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.cluster import programs
from tests.support.images import Document, busybox_tree, file, image, tar, write_archive

Object = Mapping[str, Any]

BUSYBOX = "docker.io/library/busybox:cluster"
AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:cluster"

PAUSE = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"
"""A shell that does nothing, and ends at once when it is told to."""


def archives(directory: Path) -> list[Path]:
    """Archives of the images above: busybox, and agnhost on top of it."""
    environment = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    base = tar(busybox_tree())
    return [
        write_archive(directory / "busybox.tar", {BUSYBOX: image(base, config={**environment, "Cmd": ["sh"]})}),
        write_archive(directory / "agnhost.tar", {AGNHOST: agnhost(base, environment)}),
    ]


def agnhost(base: bytes, environment: Mapping[str, Any]) -> Document:
    """The program of Kubernetes' own tests that serves, probes and reports."""
    program = tar({"agnhost": file(Path(programs.path("agnhost")).read_bytes(), 0o755)})
    config = {**environment, "Entrypoint": ["/agnhost"], "Cmd": ["pause"]}
    return image(base, program, config=config, compression="none")


def container(name: str = "main", *command: str, **more: Any) -> dict[str, Any]:
    """A container of busybox with this command; a single word with blanks is a script."""
    words = ("sh", "-c", command[0]) if len(command) == 1 else (command or ("sh", "-c", PAUSE))
    return {"name": name, "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": list(words), **more}


def agn(name: str = "main", *arguments: str, **more: Any) -> dict[str, Any]:
    """A container of agnhost: ("main", "netexec", "--http-port=8080")."""
    return {"name": name, "image": AGNHOST, "imagePullPolicy": "IfNotPresent", "args": list(arguments), **more}


def pod_spec(*containers: Object, **more: Any) -> dict[str, Any]:
    """Pods without grace, unless asked for: most tests want them gone."""
    return {"terminationGracePeriodSeconds": 1, "containers": list(containers or (container(),)), **more}


def pod(name: str, *containers: Object, labels: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A pod that is not restarted; `more` is of its spec."""
    spec = pod_spec(*containers, **{"restartPolicy": "Never", **more})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": dict(labels or {})}, "spec": spec}


def workload(kind: str, name: str, *containers: Object, replicas: int | None = None, **more: Any) -> dict[str, Any]:
    """A Deployment, DaemonSet or StatefulSet whose pods have the label app=NAME; `more` is of the pods' spec."""
    labels = {"app": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod_spec(*containers, **more)},
    }
    spec |= {"replicas": replicas} if replicas is not None else {}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def job(name: str, *containers: Object, **more: Any) -> dict[str, Any]:
    """A Job; `more` is of its spec."""
    template = {"spec": pod_spec(*containers, restartPolicy="Never")}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **more}}


def service(name: str, port: int, target: int, **more: Any) -> dict[str, Any]:
    """A Service over pods with app=NAME."""
    spec = {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}], **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def config_map(name: str, **data: str) -> dict[str, Any]:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name: str, **data: str) -> dict[str, Any]:
    """An opaque Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
