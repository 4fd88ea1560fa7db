"""`make test-vm`: the files of tests/root and tests/client in the machine of hack/vm, with each cgroup driver.

Each file's outcome is kept as it comes (tests.machine.results), so that a run may be cut off and taken up again. A file
that pytest dies of is a failure of that file; the rest go on. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.machine.results import Results, table
from tests.support.outcomes import Outcome, told

PROJECT = Path(__file__).resolve().parents[2]

FIRST = """
    client/test_cgroup_driver client/test_life client/test_updates client/test_restart client/test_stats
    client/test_takes_effect client/test_user_namespaces client/test_asked client/test_configured client/test_apparmor
    client/test_privileges client/test_crash client/test_critest
    root/conmon root/kernel root/drivers
"""
"""What differs most on cgroup v2, with systemd and AppArmor: it runs before the rest."""


ENDED = (0, 1, 5)
"""How pytest exits that came to its end: all passed, some failed, nothing to run."""


def files(asked: Sequence[str]) -> list[str]:
    """The files of tests below `asked`, FIRST's first."""
    found = [PROJECT / path for path in asked]
    found = [file for path in found for file in ([path] if path.is_file() else sorted(path.rglob("test_*.py")))]
    names = [str(file.relative_to(PROJECT)) for file in found]
    order = [f"tests/{begin}" for begin in FIRST.split()]
    return sorted(names, key=lambda name: next((at for at, begin in enumerate(order) if name.startswith(begin)), 99))


def runs(command: Sequence[str], todo: Sequence[str]) -> Iterator[Outcome]:
    """What `command`, a pytest with the plugin, tells of the files of `todo`; begun again where it dies of one.

    It ends early when no test is begun: then it is the machine that does not answer, not the file that is wrong.
    """
    left = list(todo)
    while left:
        begun = False
        with subprocess.Popen([*command, *left], stdout=subprocess.PIPE, text=True, errors="replace") as process:
            assert process.stdout is not None
            for line in process.stdout:
                if outcome := told(line):
                    left = [name for name in left if name.partition("::")[0] != outcome.file]
                    yield outcome
                else:
                    begun = begun or "::" in line
                    print(line, end="", flush=True)
        if process.returncode in ENDED or not begun:
            return
        yield Outcome(left[0].partition("::")[0], failed=[f"{left[0]}: pytest ended with {process.returncode}"])
        del left[0]


def commit() -> str:
    """The checkout's, with a mark when there are changes that are in no commit."""
    command = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"]
    return subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.strip()


def pytest(driver: str, options: Sequence[str]) -> list[str]:
    """The command that runs files in the machine, in a directory of its own: one cut off may be in use still."""
    told = {"CRITEST_RUNTIMES": "runc crun", "CRISERVER_TEST_SLOWNESS": "8", **os.environ}
    settings = [f"{name}={told[name]}" for name in ("CRITEST_RUNTIMES", "CRISERVER_TEST_SLOWNESS")]
    env = ["env", "CI=true", f"CRISERVER_TEST_CGROUP_DRIVER={driver}", *settings]
    flags = ["-v", "-p", "no:cacheprovider", "-p", "tests.support.outcomes", "--continue-on-collection-errors"]
    return [
        str(PROJECT / "hack/vm"), "run", *env, ".venv/bin/python", "-m", "pytest", *flags,
        f"--basetemp=/tmp/ct{os.getpid()}", "-o", "timeout=1800", *options,
    ]  # fmt: skip


def run(driver: str, options: argparse.Namespace, results: Results) -> bool:
    """Run what is asked for with one driver; whether all of it has passed."""
    single = [name for name in options.files if "::" in name]
    done = results.passed(driver) if options.resume else set()
    todo = [file for file in files([name for name in options.files if name not in single]) if file not in done]
    print(f"• {driver} driver, cgroup v2: {len(todo)} files, outcomes in {results.path}", flush=True)
    partly = bool(options.k or single)
    silent, good = {*todo}, True
    for outcome in runs(pytest(driver, ["-k", options.k] if options.k else []), [*todo, *single]):
        print(f"  {outcome.file}: {outcome.passed} passed, {len(outcome.failed)} failed", flush=True)
        results.add(driver, outcome, partly=partly)
        silent.discard(outcome.file)
        good = good and not outcome.failed
    return good and (partly or not silent)


def main() -> int:
    """Run, and show what is known of this commit at the end."""
    parser = argparse.ArgumentParser(prog="hack/test-vm", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("files", nargs="*", default=["tests/root", "tests/client"], help="files, folders, single tests")
    parser.add_argument("-k", help="as pytest's: run the tests whose names match")
    parser.add_argument("--resume", action="store_true", help="leave out the files that have passed on this commit")
    parser.add_argument("--table", action="store_true", help="run nothing, show what is known of this commit")
    options = parser.parse_args()
    cache = Path(os.environ.get("CRISERVER_VM", "~/.cache/criserver/vm")).expanduser()
    results = Results(cache / "results" / f"{commit()}-{os.environ.get('VM_SUITE', 'bookworm')}")
    drivers = os.environ.get("VM_DRIVERS", "systemd cgroupfs").split()
    good = [run(driver, options, results) for driver in drivers if not options.table]
    for driver in drivers:
        print(f"\n{driver} driver, {results.path.name}\n{table(results.latest(driver))}")
    return int(not all(good))


if __name__ == "__main__":
    sys.exit(main())
