import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from criserver.cli.demo import leftovers
from criserver.config.schema import Config


def config(tmp_path: Path) -> Config:
    return replace(Config(), root=f"{tmp_path}/root", state=f"{tmp_path}/state", listen=f"unix://{tmp_path}/state/s")


def test_only_what_was_absent_is_removed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    mine = leftovers.absent(config(tmp_path))
    assert mine == (f"{tmp_path}/state",)
    (tmp_path / "state" / "deep").mkdir(parents=True)
    left: list[str] = []
    leftovers.remove(mine, left)
    assert left == []
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_what_holds_a_mount_is_left_and_told() -> None:
    left: list[str] = []
    leftovers.remove(("/proc",), left)
    [text] = left
    assert text.startswith("/proc: /proc is mounted")
    assert Path("/proc/self").exists()


def test_mounts_below_take_whole_names(tmp_path: Path) -> None:
    assert leftovers.mounts_below("/proc")[0] == "/proc"
    assert leftovers.mounts_below("/pro") == []
    assert leftovers.mounts_below(str(tmp_path)) == []


def test_processes_of_the_state_directory_are_told(tmp_path: Path) -> None:
    left: list[str] = []
    leftovers.report_processes(config(tmp_path), left)
    assert left == []
    command = [sys.executable, "-c", "print(flush=True); input()", f"{tmp_path}/state/x"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # /proc shows no command until it runs
        leftovers.report_processes(config(tmp_path), left)
        process.kill()
    assert [text.split(":")[0] for text in left] == [f"process {process.pid}"]
