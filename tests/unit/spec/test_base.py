"""A base document under a container's own."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from criserver.errors import CriError, InvalidArgument
from criserver.spec.assemble import build
from criserver.spec.base import check, under
from criserver.spec.wish import Policy, Rlimit, SpecWish
from tests.support import oci_schema, wishes

RUNC_SPEC: dict[str, Any] = {
    "ociVersion": "9.9.9",
    "process": {
        "terminal": True,
        "user": {"uid": 7, "gid": 7, "umask": 0o27},
        "args": ["sh"],
        "env": ["PATH=/base", "TERM=xterm", "BASE=yes"],
        "cwd": "/base",
        "capabilities": {"bounding": ["CAP_SYS_ADMIN"], "ambient": ["CAP_SYS_ADMIN"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1, "soft": 1}, {"type": "RLIMIT_CORE", "hard": 0, "soft": 0}],
        "noNewPrivileges": True,
        "apparmorProfile": "base",
    },
    "root": {"path": "/base", "readonly": True},
    "hostname": "base",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "base"},
        {"destination": "/usr", "type": "bind", "source": "/base/usr", "options": ["rbind"]},
        {"destination": "/opt", "type": "bind", "source": "/base/opt", "options": ["rbind"]},
    ],
    "hooks": {"poststop": [{"path": "/bin/base"}]},
    "annotations": {"org.systemd.property.ExecStopPost": "x"},
    "linux": {
        "namespaces": [{"type": "network"}, {"type": "user"}],
        "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}],
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
        "maskedPaths": ["/base"],
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "resources": {
            "devices": [{"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}],
            "pids": {"limit": 77},
            "memory": {"limit": 1 << 30, "swappiness": 0},
        },
        "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}],
    },
}


def based(wish: SpecWish, **policy: Any) -> dict[str, Any]:
    return build(replace(wish, policy=Policy(base=RUNC_SPEC, **policy)))


def test_what_nobody_else_says_comes_from_the_base() -> None:
    document = based(wishes.plain())
    assert document["hooks"] == {"poststop": [{"path": "/bin/base"}]}
    assert document["process"]["user"]["umask"] == 0o27
    assert document["process"]["rlimits"] == RUNC_SPEC["process"]["rlimits"]
    assert "BASE=yes" in document["process"]["env"] and "TERM=xterm" in document["process"]["env"]
    assert document["linux"]["resources"]["pids"] == {"limit": 77}
    assert document["linux"]["resources"]["memory"] == {"limit": 1 << 30, "swappiness": 0}
    assert document["linux"]["sysctl"] == {"net.ipv4.ip_forward": "1"}
    assert [device["path"] for device in document["linux"]["devices"]] == ["/dev/fuse"]


def test_request_and_configuration_count_more() -> None:
    wish = wishes.asking(resources=replace(wishes.plain().config.resources, memory_limit_in_bytes=64 << 20))
    document = based(wish, pids_limit=5, umask=0, rlimits=(Rlimit("RLIMIT_CORE", 1, 2),), default_env=("BASE=no",))
    assert document["process"]["user"]["umask"] == 0
    assert {limit["type"]: limit["hard"] for limit in document["process"]["rlimits"]} == {
        "RLIMIT_NOFILE": 1,
        "RLIMIT_CORE": 2,
    }
    assert "BASE=no" in document["process"]["env"] and "PATH=/base" not in document["process"]["env"]
    assert document["linux"]["resources"]["pids"] == {"limit": 5}
    assert document["linux"]["resources"]["memory"]["limit"] == 64 << 20
    (proc,) = [mount for mount in document["mounts"] if mount["destination"] == "/proc"]
    assert proc["source"] == "proc"


def test_who_runs_and_confined_by_what_is_the_requests_alone() -> None:
    without, document = build(wishes.plain()), based(wishes.plain())
    for place in ("args", "cwd", "capabilities", "noNewPrivileges", "terminal", "apparmorProfile", "selinuxLabel"):
        assert document["process"].get(place) == without["process"].get(place), place
    for place in ("namespaces", "uidMappings", "seccomp", "maskedPaths", "readonlyPaths", "cgroupsPath"):
        assert document["linux"].get(place) == without["linux"].get(place), place
    for place in ("ociVersion", "root", "annotations"):
        assert document[place] == without[place]
    assert document["process"]["user"]["uid"] == 0


def test_a_rule_that_denies_all_stays_the_first() -> None:
    rules = based(wishes.plain())["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"} and rules[1]["minor"] == 229


def test_mounts_lie_before_what_is_in_them() -> None:
    ours = [{"destination": "/proc"}, {"destination": "/usr/share/x"}]
    merged = under(RUNC_SPEC, {"mounts": ours})["mounts"]
    assert [mount["destination"] for mount in merged] == ["/proc", "/usr", "/usr/share/x", "/opt"]


def test_hooks_of_both_run_the_bases_first() -> None:
    merged = under(RUNC_SPEC, {"hooks": {"poststop": [{"path": "/ours"}], "prestart": [{"path": "/pre"}]}})
    assert merged["hooks"] == {"poststop": [{"path": "/bin/base"}, {"path": "/ours"}], "prestart": [{"path": "/pre"}]}


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(wish=wishes.wishes(hostile=False))
def test_a_base_is_not_changed_and_gives_a_valid_document(schema: Any, wish: SpecWish) -> None:
    before = copy.deepcopy(RUNC_SPEC)
    with contextlib.suppress(CriError):
        oci_schema.check(schema, build(replace(wish, policy=replace(wish.policy, base=RUNC_SPEC))))
    assert before == RUNC_SPEC


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"process": []}, "process is not an object"),
        ({"linux": {"resources": 1}}, "linux.resources is not an object"),
        ({"mounts": {}}, "mounts is not a list"),
        ({"mounts": [{"source": "/x"}]}, "mounts: each needs 'destination'"),
        ({"process": {"env": [1]}}, "process.env is not a list of texts"),
        ({"process": {"rlimits": [{}]}}, "process.rlimits: each needs 'type'"),
        ({"hooks": {"poststop": ["x"]}}, "hooks.poststop is not a list of objects"),
    ],
)
def test_a_base_that_cannot_be_merged(document: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidArgument, match=place):
        check(document)


def test_a_base_that_can() -> None:
    check(RUNC_SPEC)
    check({})
