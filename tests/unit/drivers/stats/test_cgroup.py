"""Recorded cgroup trees: v1, v2, and v1 beside a cgroup2 mount that has pressure only."""

import pytest

from criserver.drivers.stats import cgroup
from criserver.model.stats import CgroupUsage, DeviceTraffic, HugePages, Stall

PRESSURE = """some avg10=1.50 avg60=0.25 avg300=0.03 total=36664
full avg10=0.00 avg60=0.00 avg300=0.00 total=33822
"""

V1 = {
    "cpuacct.usage": "3411144830135\n",
    "cpuacct.usage_user": "2313470000000\n",
    "cpuacct.usage_sys": "1097670000000\n",
    "cpu.stat": "nr_periods 300\nnr_throttled 20\nthrottled_time 1500000000\nnr_bursts 0\nburst_time 0\n",
    "memory.usage_in_bytes": "48918528\n",
    "memory.limit_in_bytes": "67108864\n",
    "memory.memsw.limit_in_bytes": "134217728\n",
    "memory.max_usage_in_bytes": "53477376\n",
    "memory.failcnt": "7\n",
    "memory.kmem.usage_in_bytes": "1234944\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory.stat": """cache 0
rss 4096
total_cache 20480000
total_rss 25000000
total_mapped_file 7671808
total_swap 4096
total_pgfault 70551
total_pgmajfault 51
total_inactive_file 8192000
total_active_file 1040384
""",
    "pids.current": "12\n",
    "pids.max": "4096\n",
    "blkio.throttle.io_service_bytes_recursive": "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 0\nTotal 12288\n",
    "blkio.throttle.io_serviced_recursive": "254:0 Read 1\n254:0 Write 2\nTotal 3\n",
    "hugetlb.2MB.usage_in_bytes": "2097152\n",
    "hugetlb.2MB.max_usage_in_bytes": "4194304\n",
}

V2 = {
    "cpu.stat": """usage_usec 3411144830
user_usec 2313470000
system_usec 1097670000
nr_periods 300
nr_throttled 20
throttled_usec 1500000
""",
    "cpu.pressure": PRESSURE,
    "memory.current": "48918528\n",
    "memory.max": "67108864\n",
    "memory.swap.current": "4096\n",
    "memory.swap.max": "max\n",
    "memory.peak": "53477376\n",
    "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n",
    "memory.stat": """anon 25000000
file 20480000
kernel 1234944
file_mapped 7671808
inactive_file 8192000
active_file 1040384
pgfault 70551
pgmajfault 51
""",
    "memory.pressure": PRESSURE,
    "io.pressure": PRESSURE,
    "io.stat": "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n8:0 \n",
    "pids.current": "12\n",
    "pids.max": "max\n",
    "hugetlb.2MB.current": "2097152\n",
}


def read(files: dict[str, str]) -> CgroupUsage:
    return cgroup.usage(files, 5)


@pytest.mark.parametrize("files", [V1, V2], ids=["v1", "v2"])
def test_both_versions_tell_the_same(files: dict[str, str]) -> None:
    found = read(files)
    cpu, memory = found.cpu, found.memory
    assert cpu is not None
    assert memory is not None
    assert found.taken_at == 5
    assert cpu.total // 1000 == 3411144830
    assert (cpu.user, cpu.system) == (2313470000000, 1097670000000)
    assert (cpu.periods, cpu.throttled_periods, cpu.throttled_time) == (300, 20, 1500000000)
    assert memory.usage == 48918528
    assert memory.working_set == 48918528 - 8192000
    assert (memory.rss, memory.cache, memory.mapped_file) == (25000000, 20480000, 7671808)
    assert (memory.kernel, memory.swap, memory.limit) == (1234944, 4096, 67108864)
    assert (memory.faults, memory.major_faults) == (70500, 51)
    assert (memory.max_usage, memory.limit_hits, memory.oom_kills) == (53477376, 7, 2)
    assert found.devices == (DeviceTraffic(254, 0, 4096, 1, 8192, 2, "254:0"),)
    assert found.threads == 12
    assert [pages.usage for pages in found.huge_pages] == [2097152]


def test_what_only_one_version_tells() -> None:
    v1, v2 = read(V1), read(V2)
    assert v1.memory is not None
    assert v2.memory is not None
    assert (v1.memory.swap_limit, v2.memory.swap_limit) == (67108864, None)
    assert (v1.threads_max, v2.threads_max) == (4096, 0)
    assert v1.huge_pages == (HugePages("2MB", 2097152, 4194304),)
    assert v2.huge_pages == (HugePages("2MB", 2097152, None),)
    assert v1.io_pressure is None


def test_pressure_comes_from_v2_beside_v1_as_well() -> None:
    found = read(V1 | dict.fromkeys(("cpu.pressure", "io.pressure"), PRESSURE))
    assert found.cpu is not None
    assert found.cpu.pressure is not None
    assert found.cpu.pressure.some == Stall(36_664_000, 1.5, 0.25, 0.03)
    assert found.cpu.pressure.full == Stall(33_822_000)
    assert found.io_pressure is not None


def test_cpu_without_a_full_line_and_pressure_that_is_off() -> None:
    some = cgroup.pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n")
    assert some is not None
    assert some.full == Stall()
    assert cgroup.pressure("") is None
    assert cgroup.pressure("some avg10=x") is None


@pytest.mark.parametrize("number", ["9223372036854771712\n", "max\n", ""])
def test_no_limit_is_none(number: str) -> None:
    found = read(V1 | {"memory.limit_in_bytes": number, "memory.memsw.limit_in_bytes": number})
    assert found.memory is not None
    assert (found.memory.limit, found.memory.swap_limit) == (None, None)


def test_a_working_set_is_never_negative() -> None:
    found = read({"memory.current": "100", "memory.stat": "inactive_file 200\n"})
    assert found.memory is not None
    assert found.memory.working_set == 0


def test_parts_without_files_are_unset() -> None:
    assert read({}) == CgroupUsage(5)
    assert read({"cpu.stat": "nr_periods 1\n", "memory.stat": "cache 1\n"}) == CgroupUsage(5)
    assert read({"cpu.stat": "half a li", "io.stat": "x y=z\n8:0", "pids.current": "many"}) == CgroupUsage(5)


def test_names_follow_version_controllers_and_details() -> None:
    assert cgroup.names(1, {"cpu"}, detailed=False) == ()
    assert cgroup.names(1, {"cpu"}, detailed=True) == ("cpu.stat",)
    assert cgroup.names(1, {"pids"}, detailed=False) == ("pids.current",)
    beside = cgroup.names(2, {"hugetlb"}, detailed=True, huge_page_sizes=["2MB"])
    assert beside == ("cpu.pressure", "memory.pressure", "io.pressure", "hugetlb.2MB.current")
    everything = cgroup.names(2, {"cpu", "memory", "pids", "io"}, detailed=True)
    assert {name for name in V2 if not name.startswith("hugetlb")} == set(everything)
    v1 = cgroup.names(
        1, ["cpu", "cpuacct", "memory", "pids", "blkio", "hugetlb"], detailed=True, huge_page_sizes=["2MB"]
    )
    assert set(v1) == set(V1)
