"""The built-in profile: whole programs run under it in tests/root; here, what it lets by."""

from typing import Any

import pytest

from criserver.spec.capabilities import ALL
from criserver.spec.seccomp import convert
from criserver.spec.seccomp_default import profile
from criserver.spec.wish import HostFacts


def rules(name: str, *held: str, machine: str = "x86_64") -> list[dict[str, Any]]:
    result = convert(profile(), frozenset(held), HostFacts(machine=machine))
    return [rule for rule in result["syscalls"] if name in rule["names"]]


def actions(name: str, *held: str) -> set[str]:
    return {rule["action"].removeprefix("SCMP_ACT_") for rule in rules(name, *held)}


def test_unknown_calls_look_unimplemented() -> None:
    result = convert(profile(), frozenset(), HostFacts())
    assert (result["defaultAction"], result["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 38)
    assert not rules("some_call_of_tomorrow")


@pytest.mark.parametrize(
    "name", ["read", "execve", "futex", "openat2", "mknod", "ptrace", "statx", "landlock_create_ruleset"]
)
def test_everyday_calls(name: str) -> None:
    assert actions(name) == {"ALLOW"}


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("mount", "CAP_SYS_ADMIN"),
        ("unshare", "CAP_SYS_ADMIN"),
        ("setns", "CAP_SYS_ADMIN"),
        ("bpf", "CAP_SYS_ADMIN"),
        ("bpf", "CAP_BPF"),
        ("init_module", "CAP_SYS_MODULE"),
        ("reboot", "CAP_SYS_BOOT"),
        ("chroot", "CAP_SYS_CHROOT"),
        ("open_by_handle_at", "CAP_DAC_READ_SEARCH"),
        ("clock_settime", "CAP_SYS_TIME"),
    ],
)
def test_calls_that_need_a_capability(name: str, capability: str) -> None:
    assert actions(name) == {"ERRNO"}
    assert actions(name, capability) == {"ALLOW"}


@pytest.mark.parametrize("name", ["keyctl", "add_key", "io_uring_setup", "userfaultfd", "kexec_load", "pivot_root"])
def test_calls_that_nobody_may_make(name: str) -> None:
    assert actions(name, *ALL) == {"ERRNO"}


def test_no_new_namespaces_by_clone() -> None:
    (clone,) = rules("clone")
    assert clone["args"] == [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    assert rules("clone3")[0]["errnoRet"] == 38
    assert rules("clone", machine="s390x")[0]["args"][0]["index"] == 1
    assert actions("clone3", "CAP_SYS_ADMIN") == {"ALLOW"}


def test_socket_families() -> None:
    def allowed(family: int) -> bool:
        checks = {"SCMP_CMP_LT": int.__lt__, "SCMP_CMP_EQ": int.__eq__, "SCMP_CMP_GT": int.__gt__}
        return any(checks[arg["op"]](family, arg["value"]) for rule in rules("socket", *ALL) for arg in rule["args"])

    assert [family for family in range(46) if not allowed(family)] == [38, 40]


def test_each_call_is_in_one_list() -> None:
    unconditional = next(rule for rule in profile()["syscalls"] if "read" in rule["names"])["names"]
    assert len(unconditional) == len(set(unconditional))
    assert not set(unconditional) & {"mount", "keyctl", "socket", "clone", "personality"}
