"""A fake of every port: what the kernel, the runtime and the network hold, as sets that a test can look into.

Each fake can be told to fail or to hang at a method (`World.fail`, `World.slow`). The contracts that they stand for are
tested with the real drivers in tests/root and tests/client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from criserver.errors import RuntimeFailed
from criserver.lifecycle.powers import Powers
from criserver.model.edits import Edits, HookRule
from criserver.model.host import HostDevice, MountSource
from criserver.model.image import Image, ImageDefaults
from criserver.model.sandbox import SandboxConfig
from criserver.model.security import Idmap
from criserver.ports.monitor import ExecResult, ExitRecord, MonitorRequest, Observed
from criserver.ports.network import Attachment, NetworkStatus
from criserver.ports.pod_files import PodPaths
from criserver.ports.runtime import Choice, Handler

IMAGE = Image(
    id="sha256:" + "1" * 64,
    repo_tags=("localhost/busybox:latest",),
    repo_digests=(),
    size=1,
    layers=(1,),
    defaults=ImageDefaults(cmd=("sh",)),
)


@dataclass
class World:
    """What exists, as (kind, id) pairs; `calls` in order; `fail` and `slow` by "Port.method"."""

    things: set[tuple[str, str]] = field(default_factory=set)
    calls: list[tuple[str, str]] = field(default_factory=list)
    fail: dict[str, Exception] = field(default_factory=dict)
    slow: dict[str, asyncio.Event] = field(default_factory=dict)
    exits: dict[str, asyncio.Future[ExitRecord]] = field(default_factory=dict)
    observed: dict[str, Observed] = field(default_factory=dict)
    limits: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    oom_scores: list[tuple[str, int, int]] = field(default_factory=list)
    idmaps: dict[str, Idmap | None] = field(default_factory=dict)
    requests: list[MonitorRequest] = field(default_factory=list)
    joined: dict[str, str] = field(default_factory=dict)

    async def call(self, method: str, key: str) -> None:
        """Note a call; hang or fail as told."""
        self.calls.append((method, key))
        if method in self.slow:
            await self.slow[method].wait()
        if method in self.fail:
            raise self.fail[method]

    def of(self, kind: str) -> frozenset[str]:
        """Ids of a kind."""
        return frozenset(key for each, key in self.things if each == kind)

    def exit(self, key: str, code: int = 0, *, oom: bool = False) -> None:
        """Let a container end."""
        if not self.exits[key].done():
            self.exits[key].set_result(ExitRecord(exit_code=code, finished_at=99, oom_killed=oom))


@dataclass
class Fake:
    """A fake over a world."""

    world: World


class FakeClock:
    """Time that moves by one with every look."""

    def __init__(self) -> None:
        self._now = 1000

    def now(self) -> int:
        self._now += 1
        return self._now


class FakeRuntime(Fake):
    """Port Runtime: runc, always there."""

    choice = Choice("runc", "crun is not installed")

    def handler(self, name: str) -> Handler:
        lacks = "the runtime is too old" if name == "old" else ""
        return Handler(name or "runc", "runc", "/usr/sbin/runc", ("/usr/sbin/runc",), not lacks, lacks)

    def handlers(self) -> tuple[Handler, ...]:
        return (self.handler(""),)

    async def start(self, handler: str, container_id: str) -> None:
        await self.world.call("Runtime.start", container_id)

    async def delete(self, handler: str, container_id: str) -> None:
        await self.world.call("Runtime.delete", container_id)

    async def update(self, handler: str, container_id: str, limits: Mapping[str, Any]) -> None:
        await self.world.call("Runtime.update", container_id)
        self.world.limits[container_id] = limits

    async def version(self) -> str:
        return "1.1.5"


class FakeMonitors(Fake):
    """Port Monitors: containers that end when the world says so, or when they are killed."""

    async def create(self, request: MonitorRequest) -> int:
        await self.world.call("Monitors.create", request.container_id)
        self.world.requests.append(request)
        self.world.things.add(("monitor", request.container_id))
        self.world.exits[request.container_id] = asyncio.get_running_loop().create_future()
        return 4242

    async def observe(self, container_id: str) -> Observed:
        await self.world.call("Monitors.observe", container_id)
        return self.world.observed.get(container_id, Observed())

    async def exited(self, container_id: str) -> ExitRecord:
        return await asyncio.shield(
            self.world.exits.setdefault(container_id, asyncio.get_running_loop().create_future())
        )

    async def signal(self, container_id: str, signal: int) -> bool:
        await self.world.call("Monitors.signal", container_id)
        return True

    async def kill_all(self, container_id: str) -> None:
        await self.world.call("Monitors.kill_all", container_id)
        if container_id in self.world.exits:
            self.world.exit(container_id, 137)

    async def reopen_log(self, container_id: str) -> None:
        await self.world.call("Monitors.reopen_log", container_id)

    async def exec_sync(
        self, container_id: str, command: tuple[str, ...], process: str, *, timeout: float, limit: int
    ) -> ExecResult:
        return ExecResult(0, process.encode(), b"")

    async def pod_init(self, sandbox_id: str, namespaces: dict[str, str], cgroup: str) -> int:
        await self.world.call("Monitors.pod_init", sandbox_id)
        self.world.joined = dict(namespaces)
        return 77

    async def forget(self, container_id: str) -> None:
        await self.world.call("Monitors.forget", container_id)
        self.world.things.discard(("monitor", container_id))

    async def list(self) -> frozenset[str]:
        return self.world.of("monitor")


class FakeNamespaces(Fake):
    """Port Namespaces."""

    def path(self, sandbox_id: str, kind: str) -> str:
        return f"/ns/{sandbox_id}/{kind}"

    async def pin(
        self, sandbox_id: str, kinds: Any, *, hostname: str = "", sysctls: Any = None, userns: Any = None
    ) -> None:
        await self.world.call("Namespaces.pin", sandbox_id)
        kinds = {*kinds, "user"} if userns else kinds
        self.world.things |= {("namespaces", sandbox_id)} | {(f"ns-{kind}", sandbox_id) for kind in kinds}

    async def pin_pid(self, sandbox_id: str, pid: int) -> None:
        self.world.things.add(("ns-pid", sandbox_id))

    async def unpin(self, sandbox_id: str) -> None:
        await self.world.call("Namespaces.unpin", sandbox_id)
        mine = {thing for thing in self.world.things if thing[1] == sandbox_id}
        self.world.things -= {thing for thing in mine if thing[0].startswith(("ns-", "namespaces"))}

    async def pinned(self) -> Mapping[str, frozenset[str]]:
        return {
            key: frozenset(kind[3:] for kind, each in self.world.things if each == key and kind.startswith("ns-"))
            for key in self.world.of("namespaces")
        }


class FakeCgroups(Fake):
    """Port Cgroups, driver cgroupfs."""

    driver = "cgroupfs"

    def check_parent(self, cgroup_parent: str) -> None:
        pass

    def default_parent(self, sandbox_id: str) -> str:
        return f"/pods/{sandbox_id}"

    def cgroups_path(self, cgroup_parent: str, container_id: str) -> str:
        return f"{cgroup_parent}/{container_id}"

    def pod_init_path(self, cgroup_parent: str, sandbox_id: str) -> str:
        return f"{cgroup_parent}/init"

    async def missing(self, path: str) -> bool:
        return ("cgroup", path) not in self.world.things

    async def ensure(self, path: str) -> bool:
        await self.world.call("Cgroups.ensure", path)
        self.world.things.add(("cgroup", path))
        return True

    async def inhabited(self, path: str) -> None:
        pass

    async def remove(self, path: str) -> None:
        await self.world.call("Cgroups.remove", path)
        self.world.things.discard(("cgroup", path))

    async def limit(self, path: str, limits: Mapping[str, Any]) -> None:
        await self.world.call("Cgroups.limit", path)
        self.world.limits[path] = limits

    async def oom_score(self, path: str, before: int, after: int) -> None:
        self.world.oom_scores.append((path, before, after))

    async def kill(self, path: str) -> None:
        await self.world.call("Cgroups.kill", path)


class FakeRootfs(Fake):
    """Port Rootfs."""

    def path(self, container_id: str) -> str:
        return f"/rootfs/{container_id}"

    def writable(self, container_id: str) -> str:
        return f"/written/{container_id}"

    async def mount(
        self, container_id: str, layers: tuple[int, ...], *, readonly: bool = False, idmap: Idmap | None = None
    ) -> str:
        await self.world.call("Rootfs.mount", container_id)
        self.world.idmaps[container_id] = idmap
        self.world.things.add(("rootfs", container_id))
        return self.path(container_id)

    async def unmount(self, container_id: str) -> None:
        pass

    async def remove(self, container_id: str) -> None:
        await self.world.call("Rootfs.remove", container_id)
        self.world.things.discard(("rootfs", container_id))

    async def list(self) -> frozenset[str]:
        return self.world.of("rootfs")


class FakeImageVolumes(Fake):
    """Port ImageVolumes."""

    async def mount(
        self, container_id: str, number: int, layers: tuple[int, ...], idmap: Idmap | None = None
    ) -> str:
        await self.world.call("ImageVolumes.mount", container_id)
        self.world.idmaps[f"{container_id}/{number}"] = idmap
        self.world.things.add(("volumes", container_id))
        return f"/volumes/{container_id}/{number}"

    async def sub_path(self, volume: str, path: str) -> str:
        return f"{volume}/{path}"

    async def remove(self, container_id: str) -> None:
        await self.world.call("ImageVolumes.remove", container_id)
        self.world.things.discard(("volumes", container_id))

    async def list(self) -> frozenset[str]:
        return self.world.of("volumes")


class FakeNetwork(Fake):
    """Port Network: one address for every pod."""

    async def add(self, sandbox_id: str, config: SandboxConfig, netns: str) -> Attachment:
        self.world.things.add(("address", sandbox_id))  # a plugin that fails may have taken it already
        await self.world.call("Network.add", sandbox_id)
        return Attachment("pods", ("10.88.0.2",))

    async def remove(self, sandbox_id: str, config: SandboxConfig, netns: str) -> None:
        await self.world.call("Network.remove", sandbox_id)
        self.world.things.discard(("address", sandbox_id))

    async def settle(self) -> None:
        await self.world.call("Network.settle", "")

    async def status(self) -> NetworkStatus:
        return NetworkStatus(ready=True)

    async def gc(self, alive: frozenset[str]) -> None:
        self.world.things = {t for t in self.world.things if t[0] != "address" or t[1] in alive}


class FakePodFiles(Fake):
    """Port PodFiles."""

    def paths(self, sandbox_id: str, config: SandboxConfig) -> PodPaths:
        return PodPaths("/hosts", "/resolv.conf", "/hostname", "/shm")

    async def create(self, sandbox_id: str, config: SandboxConfig, hostname: str) -> None:
        await self.world.call("PodFiles.create", sandbox_id)
        self.world.things.add(("files", sandbox_id))

    async def unmount(self, sandbox_id: str) -> None:
        pass

    async def remove(self, sandbox_id: str) -> None:
        await self.world.call("PodFiles.remove", sandbox_id)
        self.world.things.discard(("files", sandbox_id))

    async def list(self) -> frozenset[str]:
        return self.world.of("files")


class FakeBundles(Fake):
    """Port Bundles; keeps the documents."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.documents: dict[str, Any] = {}

    def path(self, container_id: str) -> str:
        return f"/bundles/{container_id}"

    async def write(self, container_id: str, spec: Mapping[str, Any]) -> None:
        await self.world.call("Bundles.write", container_id)
        self.world.things.add(("bundle", container_id))
        self.documents[container_id] = dict(spec)

    async def read(self, container_id: str) -> dict[str, Any]:
        return dict(self.documents[container_id])

    async def find(self, container_id: str) -> dict[str, Any] | None:
        return self.documents.get(container_id)

    async def volume(
        self, container_id: str, number: int, rootfs: str, destination: str, owner: tuple[int, int] = (0, 0)
    ) -> str:
        return f"/volumes/{container_id}/{number}"

    async def remove(self, container_id: str) -> None:
        await self.world.call("Bundles.remove", container_id)
        self.world.things.discard(("bundle", container_id))
        self.documents.pop(container_id, None)

    async def list(self) -> frozenset[str]:
        return self.world.of("bundle")


class FakeHost(Fake):
    """Port Host: every path is there."""

    async def read_in_root(self, root: str, path: str, limit: int) -> str:
        return ""

    async def check_root(self, root: str) -> None:
        pass

    async def mount_source(self, path: str) -> MountSource:
        return MountSource(path)

    async def devices(self, path: str) -> tuple[HostDevice, ...]:
        return (HostDevice(path, "c", 1, 3),)

    async def profile(self, path: str) -> Mapping[str, Any]:
        return {"defaultAction": "SCMP_ACT_ALLOW"}

    async def check_directory(self, path: str) -> None:
        await self.world.call("Host.check_directory", path)


class FakeInjections(Fake):
    """Port Injections: a variable for each device, and no hooks."""

    async def devices(self, names: tuple[str, ...]) -> Edits:
        return Edits(env=tuple(f"DEVICE={name}" for name in names))

    async def hooks(self) -> tuple[HookRule, ...]:
        return ()


class FakeImages(Fake):
    """Port Images: one image."""

    def resolve(self, reference: str) -> Image | None:
        return IMAGE if reference in (IMAGE.id, *IMAGE.repo_tags) else None

    async def admit(self, image: Image, asked: str) -> Image:
        await self.world.call("Images.admit", asked)
        return image

    async def lease(self, image_id: str, holder: str) -> None:
        await self.world.call("Images.lease", holder)
        self.world.things.add(("lease", holder))

    async def release(self, holder: str) -> None:
        self.world.things.discard(("lease", holder))


def powers(world: World) -> Powers:
    """Every fake over one world."""
    return Powers(
        runtime=FakeRuntime(world),
        monitors=FakeMonitors(world),
        namespaces=FakeNamespaces(world),
        cgroups=FakeCgroups(world),
        rootfs=FakeRootfs(world),
        image_volumes=FakeImageVolumes(world),
        network=FakeNetwork(world),
        pod_files=FakePodFiles(world),
        bundles=FakeBundles(world),
        host=FakeHost(world),
        images=FakeImages(world),
        clock=FakeClock(),
        injections=FakeInjections(world),
    )


NOT_FOUND_COMMAND = RuntimeFailed('exec: "nope": executable file not found in $PATH')
