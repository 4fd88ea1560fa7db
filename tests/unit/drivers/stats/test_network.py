from criserver.drivers.stats.network import interfaces
from criserver.model.stats import InterfaceUsage

TABLE = """Inter-|   Receive                                                |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo:     200       2    0    0    0     0    0    0      200       2    0    0    0     0       0          0
  eth0: 1296 18 1 2 0 0 0 0 1116 14 3 4 0 0 0 0
  a:b: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0
broken: 1 2
"""


def test_every_interface_but_loopback() -> None:
    assert interfaces(TABLE) == (
        InterfaceUsage("eth0", 1296, 18, 1, 2, 1116, 14, 3, 4),
        InterfaceUsage("a:b", 1, 2, 3, 4, 5, 6, 7, 8),
    )


def test_nothing_is_no_interface() -> None:
    assert interfaces("") == ()
