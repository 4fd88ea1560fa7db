from criserver.drivers.cgroups.limits import INFINITY, properties, v1_files, v2_files, weight

LIMITS = {
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0-1", "mems": "0"},
    "memory": {"limit": 1000, "swap": 1500},
}
UNLIMITED = {"cpu": {"quota": -1}, "memory": {"limit": -1, "swap": -1}}


def test_files_of_v1() -> None:
    assert v1_files(LIMITS) == {
        "cpu": (("cpu.shares", "512"), ("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "50000")),
        "cpuset": (("cpuset.cpus", "0-1"), ("cpuset.mems", "0")),
        "memory": (("memory.limit_in_bytes", "1000"), ("memory.memsw.limit_in_bytes", "1500")),
    }


def test_files_of_v2() -> None:
    assert v2_files({**LIMITS, "unified": {"memory.high": "900"}}) == {
        "cpu": (("cpu.weight", "20"), ("cpu.max", "50000 100000")),
        "cpuset": (("cpuset.cpus", "0-1"), ("cpuset.mems", "0")),
        "memory": (("memory.max", "1000"), ("memory.swap.max", "500")),
        "": (("memory.high", "900"),),
    }


def test_no_limit() -> None:
    assert v1_files(UNLIMITED)["memory"] == (("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1"))
    found = v2_files(UNLIMITED)
    assert found["cpu"] == (("cpu.max", "max 100000"),)
    assert found["memory"] == (("memory.max", "max"), ("memory.swap.max", "max"))


def test_what_is_not_asked_for_is_not_written() -> None:
    assert not any(v1_files({}).values()) and not any(v2_files({}).values()) and not properties({}, v2=True)


def test_properties_of_a_slice() -> None:
    half = [("CPUQuotaPeriodUSec", "t", 100000), ("CPUQuotaPerSecUSec", "t", 500000)]
    assert properties(LIMITS, v2=True) == [
        ("CPUWeight", "t", 20), ("MemoryMax", "t", 1000), ("MemorySwapMax", "t", 500),
        ("AllowedCPUs", "ay", b"\x03"), ("AllowedMemoryNodes", "ay", b"\x01"), *half,
    ]  # fmt: skip
    assert properties(LIMITS, v2=False) == [("CPUShares", "t", 512), ("MemoryLimit", "t", 1000), *half]


def test_properties_without_limit() -> None:
    free = [("CPUQuotaPeriodUSec", "t", 100000), ("CPUQuotaPerSecUSec", "t", INFINITY)]
    assert properties(UNLIMITED, v2=True) == [("MemoryMax", "t", INFINITY), ("MemorySwapMax", "t", INFINITY), *free]
    assert properties(UNLIMITED, v2=False) == [("MemoryLimit", "t", INFINITY), *free]


def test_a_share_of_a_percent_is_rounded_up() -> None:
    assert properties({"cpu": {"quota": 1001, "period": 100000}}, v2=True)[-1] == ("CPUQuotaPerSecUSec", "t", 20000)


def test_properties_of_files_that_have_one() -> None:
    unified = {"memory.high": "900", "memory.oom.group": "1", "pids.max": "max", "cpuset.cpus": "0-2,9"}
    assert properties({"unified": unified}, v2=True) == [
        ("MemoryHigh", "t", 900), ("TasksMax", "t", INFINITY), ("AllowedCPUs", "ay", b"\x07\x02"),
    ]  # fmt: skip


def test_weights() -> None:
    assert [weight(shares) for shares in (0, 2, 1024, 262144, 1 << 40)] == [1, 1, 39, 10000, 10000]
