from pathlib import Path

from criserver.model.sandbox import PodMetadata, Sandbox, SandboxConfig, SandboxState
from criserver.state.db import Database
from criserver.state.journal import Step
from criserver.state.sandboxes import Sandboxes


async def test_attempts_of_one_pod_are_different_names(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "a.db"))
    sandboxes = Sandboxes(database)
    for attempt in range(2):
        meta = PodMetadata("web", "uid", "ns", attempt)
        row = Sandbox(f"{attempt}", SandboxConfig(meta), "runc", SandboxState.READY, 1)
        await sandboxes.insert(row, Step("Run", row.id, "files"))
    found = sandboxes.named(PodMetadata("web", "uid", "ns", 1))
    assert found is not None and found.id == "1"
    assert sandboxes.named(PodMetadata("web", "uid", "ns", 2)) is None
    database.close()
