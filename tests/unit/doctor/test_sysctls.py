from __future__ import annotations

from criserver.config.schema import Config
from criserver.doctor.finding import Severity
from criserver.doctor.sysctls import SETTINGS, judge, read


def test_all_is_well() -> None:
    values: dict[str, int | None] = {each.name: each.minimum for each in SETTINGS}
    assert {each.severity for each in judge(values)} == {Severity.OK}


def test_one_that_is_too_low_has_its_command() -> None:
    values: dict[str, int | None] = {each.name: each.minimum for each in SETTINGS}
    values["net.ipv4.ip_forward"] = 0
    found = [each for each in judge(values) if each.severity is not Severity.OK]
    assert len(found) == 1
    assert found[0].fix.startswith("sysctl -w net.ipv4.ip_forward=1; ")


def test_a_module_that_is_not_loaded() -> None:
    values: dict[str, int | None] = dict.fromkeys((each.name for each in SETTINGS), None)
    found = list(judge(values))
    assert len(found) == 1, "other absent settings say nothing: the kernel is built without"
    assert "modprobe br_netfilter" in found[0].fix


async def test_this_host_has_values() -> None:
    values = await read(Config())
    assert values["kernel.pid_max"] is not None
