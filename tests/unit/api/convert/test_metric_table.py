from criserver.api.convert.metric_table import CGROUP, CONTAINER, NETWORK
from criserver.api.convert.metrics import LABELS, descriptors
from criserver.config.schema import MetricGroup

# What critest asks for: metrics of the kubelet with cAdvisor, as of Kubernetes 1.37.
EXPECTED = """
blkio_device_usage_total cpu_cfs_periods_total cpu_cfs_throttled_periods_total cpu_cfs_throttled_seconds_total
cpu_system_seconds_total cpu_usage_seconds_total cpu_user_seconds_total file_descriptors fs_inodes_free
fs_inodes_total fs_limit_bytes fs_reads_bytes_total fs_reads_total fs_usage_bytes fs_writes_bytes_total
fs_writes_total hugetlb_max_usage_bytes hugetlb_usage_bytes last_seen memory_cache memory_failcnt
memory_failures_total memory_kernel_usage memory_mapped_file memory_max_usage_bytes memory_rss memory_swap
memory_usage_bytes memory_working_set_bytes network_receive_bytes_total network_receive_errors_total
network_receive_packets_dropped_total network_receive_packets_total network_transmit_bytes_total
network_transmit_errors_total network_transmit_packets_dropped_total network_transmit_packets_total
oom_events_total pressure_cpu_stalled_seconds_total pressure_cpu_waiting_seconds_total
pressure_io_stalled_seconds_total pressure_io_waiting_seconds_total pressure_memory_stalled_seconds_total
pressure_memory_waiting_seconds_total processes sockets spec_cpu_period spec_cpu_quota spec_cpu_shares
spec_memory_limit_bytes spec_memory_reservation_limit_bytes spec_memory_swap_limit_bytes start_time_seconds
threads threads_max ulimits_soft
"""
NAMES = {f"container_{name}" for name in EXPECTED.split()}


def test_every_expected_name_has_one_descriptor_with_help() -> None:
    found = descriptors(tuple(MetricGroup))
    assert len(found) == len({each.name for each in found}) == len(NAMES) == 56
    assert {each.name for each in found} == NAMES
    assert all(each.help and tuple(each.label_keys[: len(LABELS)]) == LABELS for each in found)


def test_every_group_is_in_one_table() -> None:
    assert sorted([*CGROUP, *CONTAINER, *NETWORK]) == sorted(MetricGroup)


def test_totals_but_one_only_grow() -> None:
    gauges, counters = set[str](), set[str]()
    for table in (CGROUP, CONTAINER, NETWORK):
        for metrics in table.values():
            for each in metrics:
                (gauges if each.gauge else counters).add(each.name)
    assert {name for name in gauges if name.endswith("_total")} == {"container_fs_inodes_total"}
    assert {name for name in counters if not name.endswith("_total")} == {"container_memory_failcnt"}
