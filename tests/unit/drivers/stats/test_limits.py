from pathlib import Path

from criserver.drivers.stats.limits import soft_limits

TABLE = """Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max open files            1024                 524288               files
Max nice priority         0                    0
Max something new         3                    3
"""


def test_soft_limits_by_their_short_names() -> None:
    assert soft_limits(TABLE) == {"cpu": None, "nofile": 1024, "nice": 0}


def test_every_limit_of_this_kernel_has_a_name() -> None:
    table = Path("/proc/self/limits").read_text()
    assert len(soft_limits(table)) == len(table.splitlines()) - 1


def test_nothing_is_no_limit() -> None:
    assert soft_limits("") == {}
