"""`make test-vm` keeps what it has seen: runs of small files with its plugin, here and now, without a machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.machine.__main__ import files, runs
from tests.machine.results import Results, table
from tests.support.outcomes import Outcome

ROOT = Path(__file__).resolve().parents[3]
PLUGIN = "tests.support.outcomes"
FLAGS = ["-v", "-p", "no:cacheprovider", "-p", PLUGIN, "--continue-on-collection-errors"]
PYTEST = [sys.executable, "-m", "pytest", *FLAGS]

MIXED = """
import pytest
@pytest.fixture
def untidy():
    yield
    raise OSError("left something")
def test_good(): pass
def test_bad(): assert False
def test_untidy(untidy): pass
@pytest.mark.skip(reason="no such kernel")
def test_other(): pass
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, and the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    return tmp_path


def outcomes(directory: Path, **sources: str) -> dict[str, Outcome]:
    """How files of these sources went, run in one pytest in this order."""
    todo = {name: directory / f"test_{name}.py" for name in sources}
    for name, source in sources.items():
        todo[name].write_text(source)
    found = {outcome.file: outcome for outcome in runs(PYTEST, [path.name for path in todo.values()])}
    return {name: found[path.name] for name, path in todo.items()}


def test_counts_of_a_file(directory: Path) -> None:
    mixed = outcomes(directory, mixed=MIXED)["mixed"]
    assert (mixed.passed, mixed.skipped) == (2, {"no such kernel": 1})
    assert [name.split("::")[1] for name in mixed.failed] == ["test_bad", "test_untidy"]


def test_goes_on_after_what_kills_it(directory: Path) -> None:
    found = outcomes(
        directory,
        unreadable="import nothing_of_this_name",
        first="def test_good(): pass",
        deadly="import os\ndef test_end(): os._exit(7)",
        last="def test_good(): pass",
    )
    assert {name: (each.passed, len(each.failed)) for name, each in found.items()} == {
        "unreadable": (0, 1), "first": (1, 0), "deadly": (0, 1), "last": (1, 0),
    }  # fmt: skip
    assert "ended with 7" in found["deadly"].failed[0]


def test_what_matters_most_comes_first() -> None:
    found = files(["tests/root", "tests/client"])
    assert found[0] == "tests/client/test_cgroup_driver.py"
    assert len(found) == len(set(found))
    assert found.index("tests/root/kernel/test_mount.py") < found.index("tests/client/test_trace.py")


def test_results_are_of_a_driver_and_of_whole_files(tmp_path: Path) -> None:
    results = Results(tmp_path / "results" / "0123")
    results.add("systemd", Outcome("a", failed=["a::b"]), partly=False)
    results.add("systemd", Outcome("a", passed=1), partly=True)
    results.add("cgroupfs", Outcome("a", passed=2), partly=False)
    assert (results.passed("systemd"), results.passed("cgroupfs")) == (set(), {"a"})
    results.add("systemd", Outcome("a", passed=2), partly=False)
    assert results.latest("systemd") == {"a": Outcome("a", passed=2)}


@pytest.mark.parametrize(
    "part", ["      3      1       3      12  in all", "failed: b::c", "skipped: 3 × no such kernel"]
)
def test_table(part: str) -> None:
    first = Outcome("a", passed=2, skipped={"no such kernel": 1}, seconds=5)
    second = Outcome("b", passed=1, failed=["b::c"], skipped={"no such kernel": 2}, seconds=7)
    assert part in table({"a": first, "b": second}).splitlines()


def test_a_machine_that_does_not_answer_is_no_failure_of_a_file() -> None:
    assert list(runs(["sh", "-c", "exit 255"], ["a", "b"])) == []
