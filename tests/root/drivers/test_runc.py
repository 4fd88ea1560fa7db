"""Runtime handlers on real binaries: what is found, what they say, what they do with ids that they do not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from criserver.drivers.runc import HandlerConfig, OciRuntime, open_runtime
from criserver.errors import CriError, FailedPrecondition, InvalidArgument, RuntimeFailed, Unavailable
from criserver.ports.runtime import Runtime


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
