"""Profiles, filtered for one container."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.errors import CriError, InvalidArgument
from criserver.spec.seccomp import convert
from criserver.spec.wish import HostFacts

HOST = HostFacts(kernel=(5, 15), machine="x86_64")
INSTALLED = Path("/usr/share/containers/seccomp.json")


def profile(*rules: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **other}


def rule(**fields: Any) -> dict[str, Any]:
    return {"names": ["x"], "action": "SCMP_ACT_ALLOW", **fields}


def applies(given: dict[str, Any], *held: str, host: HostFacts = HOST) -> bool:
    return bool(convert(profile(given), frozenset(held), host)["syscalls"])


def test_conditions_on_capabilities() -> None:
    assert applies(rule(includes={"caps": ["A", "B"]}), "A", "B")
    assert not applies(rule(includes={"caps": ["A", "B"]}), "A")
    assert not applies(rule(excludes={"caps": ["A", "B"]}), "A")
    assert applies(rule(excludes={"caps": ["A", "B"]}), "C")


def test_conditions_on_architectures() -> None:
    assert applies(rule(includes={"arches": ["amd64"]}))
    assert not applies(rule(includes={"arches": ["arm64"]}))
    assert not applies(rule(excludes={"arches": ["amd64"]}))
    assert applies(rule(includes={"arches": ["arm64"]}), host=HostFacts(machine="aarch64"))


@pytest.mark.parametrize(("least", "wanted"), [("4.8", True), ("5.15", True), ("5.16", False), ("6.1.0-rc1", False)])
def test_conditions_on_the_kernel(least: str, wanted: bool) -> None:
    assert applies(rule(includes={"minKernel": least})) == wanted
    assert applies(rule(excludes={"minKernel": least})) != wanted


def test_rules_become_oci_rules() -> None:
    given = rule(
        name="y",
        action="SCMP_ACT_ERRNO",
        errno="EPERM",
        comment="c",
        args=[{"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}],
        includes={},
        excludes={},
    )
    assert convert(profile(given), frozenset(), HOST)["syscalls"] == [
        {
            "names": ["x"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 1,
            "args": [{"index": 1, "value": 2, "valueTwo": 0, "op": "SCMP_CMP_EQ"}],
        }
    ]


def test_single_names_and_null_lists() -> None:
    given = {"name": "y", "action": "SCMP_ACT_ALLOW", "args": None}
    assert convert(profile(given), frozenset(), HOST)["syscalls"] == [{"names": ["y"], "action": "SCMP_ACT_ALLOW"}]
    assert not applies({"names": [], "action": "SCMP_ACT_ALLOW"})


def test_numbers_only_where_an_action_takes_one() -> None:
    (allowed,) = convert(profile(rule(errnoRet=1)), frozenset(), HOST)["syscalls"]
    assert "errnoRet" not in allowed
    assert convert(profile(defaultErrno="ENOSYS"), frozenset(), HOST)["defaultErrnoRet"] == 38


def test_architectures() -> None:
    x86 = {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}
    arm = {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}
    assert convert(profile(archMap=[arm, x86]), frozenset(), HOST)["architectures"] == [
        "SCMP_ARCH_X86_64",
        "SCMP_ARCH_X86",
    ]
    assert convert(profile(architectures=["SCMP_ARCH_X"]), frozenset(), HOST)["architectures"] == ["SCMP_ARCH_X"]
    assert convert(profile(), frozenset(), HOST)["architectures"][0] == "SCMP_ARCH_X86_64"
    assert convert(profile(), frozenset(), HostFacts(machine="vax"))["architectures"] == []


def test_flags() -> None:
    flags = ["SECCOMP_FILTER_FLAG_LOG"]
    assert convert(profile(flags=flags), frozenset(), HOST)["flags"] == flags
    with pytest.raises(InvalidArgument, match="flags"):
        convert(profile(flags=["X"]), frozenset(), HOST)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({}, "defaultAction"),
        ({"defaultAction": "ALLOW"}, "defaultAction"),
        (profile(defaultErrnoRet="1"), "defaultErrnoRet"),
        (profile(defaultErrno="EWHAT"), "defaultErrno"),
        (profile(defaultErrno="errorcode"), "defaultErrno"),
        ({"defaultAction": "SCMP_ACT_LOG", "syscalls": {}} | {"syscalls": {"a": 1}}, "syscalls"),
        (profile(rule(), {"names": ["y"]}), r"syscalls\[1\].action"),
        (profile(rule(names=[1])), r"syscalls\[0\].names"),
        (profile(rule(names="x")), r"syscalls\[0\].names"),
        (profile(rule(args=[{"index": 6, "op": "SCMP_CMP_EQ"}])), r"args\[0\].index"),
        (profile(rule(args=[{"index": True, "op": "SCMP_CMP_EQ"}])), r"args\[0\].index"),
        (profile(rule(args=[{"index": 1, "op": "EQ"}])), r"args\[0\].op"),
        (profile(rule(args=[{"index": 1, "value": 2**64, "op": "SCMP_CMP_EQ"}])), r"args\[0\].value"),
        (profile(rule(includes=[1])), "includes"),
        (profile(rule(includes={"minKernel": "new"})), "minKernel"),
        (profile(archMap=[{"architecture": 1}]), "architecture"),
    ],
)
def test_wrong_profiles_are_told_where(wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidArgument, match=f"seccomp profile: .*{place}"):
        convert(wrong, frozenset(), HOST)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["names", "action", "args", "includes", "caps", "minKernel"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["syscalls", "archMap", "flags", "architectures", "defaultErrno"]), JSON))
def test_no_profile_makes_it_fail_but_with_words(other: dict[str, Any]) -> None:
    try:
        result = convert({"defaultAction": "SCMP_ACT_ALLOW", **other}, frozenset(), HOST)
    except CriError:
        return
    assert result["defaultAction"] == "SCMP_ACT_ALLOW"


def test_installed_profile() -> None:
    if not INSTALLED.exists():
        pytest.skip(f"{INSTALLED} is missing: apt-get install golang-github-containers-common")
    given = json.loads(INSTALLED.read_text())
    plain, admin = (convert(given, frozenset(held), HOST) for held in ([], ["CAP_SYS_ADMIN"]))

    def allowed(result: dict[str, Any]) -> set[str]:
        rules = [entry for entry in result["syscalls"] if entry["action"] == "SCMP_ACT_ALLOW"]
        return {name for entry in rules for name in entry["names"]}

    assert "read" in allowed(plain)
    assert "bpf" in allowed(admin) - allowed(plain)
