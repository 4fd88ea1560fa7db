from pathlib import Path

import pytest

from criserver.errors import AlreadyExists, NotFound
from criserver.model.container import Container, ContainerConfig, ContainerMetadata, ContainerState, ImageSpec
from criserver.model.sandbox import PodMetadata, Sandbox, SandboxConfig, SandboxState
from criserver.state.containers import Containers
from criserver.state.db import Database
from criserver.state.journal import Step
from criserver.state.sandboxes import Sandboxes


def row(key: str, sandbox_id: str) -> Container:
    config = ContainerConfig(ContainerMetadata("main"), ImageSpec("busybox"))
    return Container(key, sandbox_id, config, ContainerState.CREATING, 1, "sha256:1")


async def test_names_are_a_pods_own_and_pods_must_exist(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))
    sandboxes, containers = Sandboxes(database), Containers(database)
    for name in ("p", "q"):
        sandbox = Sandbox(name, SandboxConfig(PodMetadata(name, "uid", "ns")), "runc", SandboxState.READY, 1)
        await sandboxes.insert(sandbox, Step("Run", name, "files"))
        await containers.insert(row(f"in-{name}", name), Step("Create", f"in-{name}", "bundle"))
    with pytest.raises(AlreadyExists, match="in-p"):
        await containers.insert(row("again", "p"), Step("Create", "again", "bundle"))
    with pytest.raises(NotFound, match="pod sandbox 'gone'"):
        await containers.insert(row("lost", "gone"), Step("Create", "lost", "bundle"))
    assert [each.id for each in containers.of("q")] == ["in-q"]
    database.close()
