"""Runtime handlers on real binaries: what is found, what they say, what they do with ids that they do not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from criserver.drivers.runtime.runc import HandlerConfig, OciRuntime, open_runtime
from criserver.errors import CriError, FailedPrecondition, InvalidArgument, RuntimeFailed, Unavailable
from criserver.ports.runtime import Choice, Runtime
from tests.root.drivers.conftest import crun_works


async def opened(
    tmp_path: Path, handlers: dict[str, str], default: str = "auto", driver: str = "cgroupfs"
) -> OciRuntime:
    configured = {name: HandlerConfig("oci", path) for name, path in handlers.items()}
    return await open_runtime(configured, default=default, state=str(tmp_path), cgroup_driver=driver)


async def test_unknown_container(runtime: OciRuntime) -> None:
    port: Runtime = runtime
    name = runtime.handlers()[0].name
    await port.delete("", "no-such-container")
    with pytest.raises(RuntimeFailed, match="start: .*(does not exist|No such file)"):
        await port.start(name, "no-such-container")


async def test_version(runtime: OciRuntime) -> None:
    assert (await runtime.version())[0].isdigit()


async def test_command_has_a_root_of_its_own(tmp_path: Path) -> None:
    runtime = await opened(tmp_path, {"runc": "runc"}, driver="systemd")
    handler = runtime.handler("runc")
    assert handler.command == (handler.path, "--root", f"{tmp_path}/runtime/runc", "--systemd-cgroup")


async def test_runc_says_what_it_can(tmp_path: Path) -> None:
    assert (await opened(tmp_path, {"runc": "runc"})).handler("").recursive_read_only_mounts


@pytest.mark.parametrize(
    ("default", "order"), [("auto", ["runc", "other"]), ("runc", ["runc", "other"]), ("other", ["other", "runc"])]
)
async def test_default_comes_first(tmp_path: Path, default: str, order: list[str]) -> None:
    handlers = {"gone": "/nonexistent/gone", "other": "runc", "runc": "runc"}
    runtime = await opened(tmp_path, handlers, default)
    assert [handler.name for handler in runtime.handlers()] == order
    assert runtime.handler("").name == order[0]
    assert runtime.choice.handler == order[0] and runtime.choice.reason


async def test_auto_takes_crun_where_it_works_and_says_which(tmp_path: Path) -> None:
    runtime = await opened(tmp_path, {"crun": "crun", "runc": "runc"})
    if crun_works():
        assert runtime.choice == Choice("crun", "it works on this host")
    else:
        assert runtime.choice.handler == "runc"
        assert runtime.choice.reason.startswith("crun does not work on this host: cgroups in hybrid mode not supported")
    assert runtime.handlers()[0].name == runtime.choice.handler
    assert (await opened(tmp_path, {"runc": "runc"})).choice == Choice("runc", "crun is not installed")
    alone = await opened(tmp_path, {"crun": "runc"})
    assert alone.choice == Choice("crun", "it works on this host"), "what counts is what the binary does"


async def test_an_old_crun_can_mount_read_only_recursively_though_it_does_not_say_so(tmp_path: Path) -> None:
    configured = {"crun": HandlerConfig("crun", "crun")}
    runtime = await open_runtime(configured, default="crun", state=str(tmp_path), cgroup_driver="cgroupfs")
    assert runtime.handler("crun").recursive_read_only_mounts


async def test_a_root_of_the_operators_choice(tmp_path: Path) -> None:
    configured = {"runc": HandlerConfig("runc", "runc", "/run/runc-of-mine")}
    runtime = await open_runtime(configured, default="runc", state=str(tmp_path), cgroup_driver="cgroupfs")
    assert runtime.handler("").command[1:] == ("--root", "/run/runc-of-mine")


async def test_handler_that_is_not_configured(tmp_path: Path) -> None:
    runtime = await opened(tmp_path, {"runc": "runc"})
    with pytest.raises(
        InvalidArgument, match="runtime handler 'nonsense' is not configured on this node; usable: runc"
    ):
        runtime.handler("nonsense")


async def test_handler_whose_program_is_missing(tmp_path: Path) -> None:
    runtime = await opened(tmp_path, {"gone": "/nonexistent/gone", "runc": "runc"})
    with pytest.raises(FailedPrecondition, match="'gone': program /nonexistent/gone is not there or not executable"):
        runtime.handler("gone")


@pytest.mark.parametrize("default", ["auto", "gone"])
async def test_no_runtime_at_all(tmp_path: Path, default: str) -> None:
    runtime = await opened(tmp_path, {"gone": "/nonexistent/gone"}, default)
    assert runtime.handlers() == ()
    with pytest.raises(CriError):
        runtime.handler("")
    with pytest.raises(Unavailable, match="the default runtime cannot be asked"):
        await runtime.version()
