"""What is read of this host agrees with the host, and odd answers are understood or told."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from criserver.drivers.host import facts
from criserver.drivers.host.facts import Facts, kernel_version, rdt_classes, seccomp_profile
from criserver.errors import ConfigError
from criserver.kernel.cgroupfs import Hierarchy


def test_this_host() -> None:
    found = Facts()()
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    assert len(found.capabilities) == (int(status["CapPrm"], 16) & int(status["CapBnd"], 16)).bit_count()
    assert found.oom_score_adj == int(Path("/proc/self/oom_score_adj").read_text())
    assert found.machine == os.uname().machine
    assert platform.release().startswith(f"{found.kernel[0]}.{found.kernel[1]}")
    assert ("c", 1, 3) in {(device.type, device.major, device.minor) for device in found.devices}, "/dev/null"


def test_devices_are_those_of_now_and_nothing_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Facts()
    first = read()
    monkeypatch.setattr(facts, "walk", lambda _: iter(first.devices[:1]))
    second = read()
    assert second.devices == first.devices[:1] and second.capabilities is first.capabilities


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.1.0-18-amd64", (6, 1)),
        ("5.15-rc2", (5, 15)),
        ("6.1+", (6, 1)),
        ("4.18.0-553.el8_10.x86_64", (4, 18)),
        ("odd", (0, 0)),
    ],
)
def test_kernel_releases(release: str, version: tuple[int, int]) -> None:
    assert kernel_version(release) == version


def test_the_first_seccomp_profile_that_is_there_counts(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("first", "second")]
    assert seccomp_profile(paths) is None
    (tmp_path / "second").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    assert seccomp_profile(paths) == {"defaultAction": "SCMP_ACT_ALLOW"}
    (tmp_path / "first").write_text('{"defaultAction": "SCMP_ACT_ERRNO"}')
    assert seccomp_profile(paths) == {"defaultAction": "SCMP_ACT_ERRNO"}


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not JSON"), ("[]", "give a JSON object"), (" " * facts.SECCOMP_LIMIT + "{}", "larger than")],
)
def test_a_seccomp_profile_that_is_none(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "seccomp.json").write_text(text)
    with pytest.raises(ConfigError, match=rf"seccomp\.json is .*{words}"):
        seccomp_profile([str(tmp_path / "seccomp.json")])


@pytest.mark.parametrize(
    ("hierarchies", "limits"),
    [
        ([("hugetlb", 2)], True),
        ([("memory", 2)], False),
        ([("hugetlb", 1), ("", 2)], True),
        ([("memory", 1), ("hugetlb", 2)], False),  # the runtime works on v1 there
    ],
)
def test_who_limits_huge_pages(hierarchies: list[tuple[str, int]], limits: bool) -> None:
    found = [Hierarchy("/sys/fs/cgroup", version, frozenset({name} - {""})) for name, version in hierarchies]
    v2 = all(hierarchy.version == 2 for hierarchy in found)
    assert facts._limits_hugepages(found, v2) is limits


def test_sizes_of_huge_pages_are_spelt_as_runtimes_take_them() -> None:
    assert [facts._size(kilobytes) for kilobytes in (2048, 1 << 20, 32 << 10)] == ["2MB", "1GB", "32MB"]


def test_classes_of_resctrl(tmp_path: Path) -> None:
    assert rdt_classes(str(tmp_path)) is None
    for name in ("schemata", "gold/schemata", "info/last_cmd_status", "mon_groups/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert rdt_classes(str(tmp_path)) == frozenset({"gold"})
