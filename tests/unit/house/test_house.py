"""The rules of the house that ruff, mypy and import-linter cannot say, and those three themselves, as tests.

Sizes, forks, and a test for every module. An exception is named below with its reason, and fails here once it is no
longer needed.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("criserver", "conmon", "cni")
Definition = ast.FunctionDef | ast.AsyncFunctionDef

MAX_FILE, MAX_FUNCTION, MAX_METHODS = 500, 60, 12

# Who may start a process or change into another namespace, beyond kernel/ and conmon/, and why.
FORKERS = {
    "criserver/cli/demo/programs.py": "starts the server, as a service manager would",
    "criserver/drivers/images/unpack/helper.py": "the process of its own that reads hostile layers, and its guard",
    "criserver/drivers/images/unpack/jail.py": "locks that process in; it imports nothing else of ours",
    "cni/execute.py": "runs the plugins: cni stands alone and cannot use kernel/",
}
FORKS = {
    "os": {"fork", "forkpty", "posix_spawn", "posix_spawnp", "popen", "system", "unshare", "setns", "chroot", "kill"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
    "pty": {"fork", "spawn"},
    "subprocess": {"Popen", "run", "call", "check_call", "check_output"},
}

# Modules without a test of their own name, and where they are tested instead.
WHOLE_SERVER = "nothing but joining and order: tests/client starts and kills whole servers"
UNTESTED: dict[str, str] = {
    "criserver/app.py": WHOLE_SERVER,
    "criserver/wiring/__init__.py": WHOLE_SERVER,
    "criserver/wiring/checking.py": WHOLE_SERVER,
    "criserver/wiring/images.py": WHOLE_SERVER,
    "criserver/wiring/observing.py": WHOLE_SERVER,
    "criserver/wiring/powers.py": WHOLE_SERVER,
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every source file of ours but the generated ones, by its path from the root."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            where = path.relative_to(ROOT)
            if "pb" not in where.parts:
                yield str(where), ast.parse(path.read_text(), str(where))


def lines(node: Definition) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def is_public_method(node: ast.stmt) -> bool:
    return isinstance(node, Definition) and not node.name.startswith("_")


def is_stub(node: Definition) -> bool:
    """A method of a Protocol: a docstring and an ellipsis."""
    return all(isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) for part in node.body)


def needs_test(tree: ast.Module) -> bool:
    return any(isinstance(node, Definition) and not is_stub(node) for node in ast.walk(tree))


def has_test(where: str) -> bool:
    path = Path(where)
    inside = path.parts[1:-1] if path.parts[0] == "criserver" else path.parts[:-1]
    stem = path.parent.name if path.stem == "__init__" else path.stem.strip("_")
    folders = [ROOT.joinpath("tests", kind, *inside) for kind in ("unit", "root", "client")]
    return any((folder / f"test_{stem}.py").exists() for folder in folders)


def test_files_are_short() -> None:
    sizes = {where: (ROOT / where).read_text().count("\n") for where, _ in sources()}
    assert {where: size for where, size in sizes.items() if size > MAX_FILE} == {}


def test_functions_are_short() -> None:
    sizes = {
        f"{where}:{node.lineno} {node.name}": lines(node)
        for where, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, Definition)
    }
    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION} == {}


def test_classes_are_narrow() -> None:
    methods = {
        f"{where}:{node.lineno} {node.name}": sum(is_public_method(part) for part in node.body)
        for where, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    assert {name: count for name, count in methods.items() if count > MAX_METHODS} == {}


def forks(tree: ast.Module) -> list[str]:
    """The calls in `tree` that start processes, signal by pid or change namespaces, as `line module.function`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name, module = node.attr, node.value.id
            if name in FORKS.get(module, ()) or (module == "os" and name.startswith(("exec", "spawn"))):
                found.append(f"{node.lineno} {module}.{name}")
    return found


def test_processes_only_where_they_may() -> None:
    calls = {where: found for where, tree in sources() if (found := forks(tree))}
    fenced = ("criserver/kernel/", "conmon/")
    outside = {where: found for where, found in calls.items() if not where.startswith(fenced) and where not in FORKERS}
    assert outside == {}, "use criserver.kernel"
    assert sorted(FORKERS.keys() - calls.keys()) == [], "no longer an exception"


def test_every_module_has_a_test_of_its_name() -> None:
    without = {where for where, tree in sources() if needs_test(tree) and not has_test(where)}
    assert sorted(without - UNTESTED.keys()) == [], "write tests/unit/<package>/test_<module>.py, or tests/root/..."
    assert sorted(UNTESTED.keys() - without) == [], "has a test now: take it off the list"


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "--quiet"], ["mypy", "--no-error-summary"], ["lint-imports", "--no-logo"]],
    ids=["ruff", "mypy", "lint-imports"],
)
def test_tool(command: list[str]) -> None:
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    tool = shutil.which(command[0], path=tools)
    if tool is None:
        assert not os.environ.get("CI"), f"{command[0]} is not installed"
        pytest.skip(f"{command[0]} is not installed: make venv")
    done = subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
