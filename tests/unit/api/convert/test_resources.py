"""Limits there and back."""

from typing import Any

import pytest

from criserver.api.convert.resources import linux_resources, linux_resources_pb
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.resources import LinuxResources

GIVEN = pb.LinuxContainerResources(
    cpu_period=100000,
    cpu_quota=-1,
    cpu_shares=512,
    memory_limit_in_bytes=1 << 30,
    oom_score_adj=-997,
    cpuset_cpus="0-1",
    cpuset_mems="0",
    hugepage_limits=[pb.HugepageLimit(page_size="2MB", limit=4)],
    unified={"memory.high": "1"},
    memory_swap_limit_in_bytes=1 << 31,
)


def test_there_and_back() -> None:
    assert linux_resources_pb(linux_resources(GIVEN, "f")) == GIVEN
    assert linux_resources(pb.LinuxContainerResources(), "f") == LinuxResources()


def test_every_field_has_been_given_above() -> None:
    assert {field.name for field, _ in GIVEN.ListFields()} == set(GIVEN.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cpu_period", -1),
        ("cpu_shares", -5),
        ("cpu_quota", -2),
        ("memory_limit_in_bytes", -2),
        ("memory_swap_limit_in_bytes", -(2**63)),
        ("oom_score_adj", -1001),
        ("cpuset_cpus", "0\n"),
        ("unified", {"a\n": "b"}),
        ("hugepage_limits", [pb.HugepageLimit()] * 65),
    ],
)
def test_refusals(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match=rf"^f\.{name}"):
        linux_resources(pb.LinuxContainerResources(**{name: value}), "f")
