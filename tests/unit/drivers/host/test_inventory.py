"""Things are found by their names; tests/client/cli/test_check.py has them on a real node."""

from __future__ import annotations

import json
from pathlib import Path

from criserver.drivers.host.inventory import KernelInventory, mounted, pod_inits
from criserver.kernel import mount
from criserver.model.findings import Kind, Thing

POD, CONTAINER = "a" * 64, "c" * 64


def mounts(*targets: str) -> tuple[mount.MountInfo, ...]:
    text = "\n".join(f"{n} 1 0:{n} / {target} rw - tmpfs x rw" for n, target in enumerate(targets, 30))
    return mount.parse_mountinfo(text)


def test_mounts_by_their_places() -> None:
    found = mounted(
        "/root",
        "/run/s",
        mounts(
            "/run/s/sandboxes/P/ns/net", "/run/s/sandboxes/P/ns/odd", "/run/s/sandboxes/P/shm",
            "/run/s/containers/C/rootfs", "/run/s/containers/C/rootfs/proc", "/run/s/volumes/C/0",
            "/root/containers/C/upper", "/root/layers", "/run/s", "/run/s-other/sandboxes/P/shm", "/elsewhere",
        ),
    )  # fmt: skip
    assert list(found) == [
        Thing(Kind.NET, "P", "/run/s/sandboxes/P/ns/net"),
        Thing(Kind.MOUNT, "", "/run/s/sandboxes/P/ns/odd"),
        Thing(Kind.SHM, "P", "/run/s/sandboxes/P/shm"),
        Thing(Kind.ROOT, "C", "/run/s/containers/C/rootfs"),
        Thing(Kind.MOUNT, "", "/run/s/containers/C/rootfs/proc"),
        Thing(Kind.VOLUME, "C", "/run/s/volumes/C/0"),
        Thing(Kind.MOUNT, "", "/root/containers/C/upper"),
    ]


async def test_directories_caches_and_leases(tmp_path: Path) -> None:
    root, state, conf = tmp_path / "root", tmp_path / "state", tmp_path / "net.d"
    leases = tmp_path / "ipam" / "pods"
    for path in (conf, leases, state / "sandboxes" / POD / "ns", state / "containers" / CONTAINER / "monitor"):
        path.mkdir(parents=True)
    (root / "containers" / CONTAINER / "upper").mkdir(parents=True)
    (root / "containers" / "volumes-only" / "volumes").mkdir(parents=True)
    (state / "runtime" / "runc" / CONTAINER).mkdir(parents=True)
    plugin = {"type": "bridge", "ipam": {"type": "host-local", "dataDir": str(tmp_path / "ipam")}}
    (conf / "1.conflist").write_text(json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [plugin]}))
    (leases / "10.0.0.2").write_text(f"{POD}\r\neth0")
    (leases / "last_reserved_ip.0").write_text("10.0.0.2")
    (leases / "lock").touch()
    things = set(await KernelInventory(str(root), str(state), str(conf)).things())
    assert things == {
        Thing(Kind.BUNDLE, CONTAINER, f"{state}/containers/{CONTAINER}"),
        Thing(Kind.MONITOR_FILES, CONTAINER, f"{state}/containers/{CONTAINER}/monitor"),
        Thing(Kind.WRITABLE, CONTAINER, f"{root}/containers/{CONTAINER}"),
        Thing(Kind.RUNTIME, CONTAINER, f"{state}/runtime/runc/{CONTAINER}"),
        Thing(Kind.ADDRESS, POD, f"{leases}/10.0.0.2"),
    }, "a directory of nothing but pins is no pod's files"
    (state / "sandboxes" / POD / "hosts").touch()
    assert Thing(Kind.POD_FILES, POD, f"{state}/sandboxes/{POD}") in await KernelInventory(
        str(root), str(state), str(conf)
    ).things()


async def test_a_node_without_anything(tmp_path: Path) -> None:
    assert await KernelInventory(str(tmp_path), str(tmp_path), str(tmp_path)).things() == ()


def test_pod_inits_need_a_pin() -> None:
    assert list(pod_inits({})) == []
    assert list(pod_inits({"/gone": "P"})) == []
