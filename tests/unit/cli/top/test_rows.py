from __future__ import annotations

from typing import Any, cast

import pytest

from criserver.cli.top.rows import Reading, cores, look, rows
from tests.unit.cli.status.kit import Answering, Service, pod
from tests.unit.cli.top.kit import MIB, SECOND, busy, cpu, value


def readings(service: Service, *, psi: float | None = None) -> tuple[Reading, Reading]:
    busy(service, 10 * SECOND, 5 * SECOND, psi=psi)
    before = look(cast(Any, Answering(service)))
    busy(service, 12 * SECOND, 6 * SECOND, psi=psi)
    return look(cast(Any, Answering(service))), before


def test_use_is_what_lies_between_two_readings() -> None:
    found = rows(*readings(Service(), psi=12.5), "cpu")
    assert [row.name for row in found] == ["shop/web", "shop/old"]
    web, old = found
    assert (web.cores, web.memory, web.limit, web.restarts) == (0.5, 61 * MIB, None, 1)
    (nginx,) = web.containers
    assert (nginx.name, nginx.state, nginx.cores, nginx.restarts) == ("nginx", "running", 0.5, 1)
    assert (nginx.memory, nginx.limit) == (60 * MIB, 64 * MIB)
    assert nginx.pressure == {"cpu": 12.5, "memory": 0.0, "io": 0.0}
    assert (old.cores, old.memory, old.pressure) == (None, None, None)
    assert [(row.state, row.cores) for row in old.containers] == [("exited", None)]


def test_without_pressure_nothing_is_told_of_it() -> None:
    assert rows(*readings(Service()), "cpu")[0].pressure is None


def test_one_reading_tells_what_the_server_says() -> None:
    usage = cpu(SECOND, 5)
    assert cores(usage, None) is None
    usage.usage_nano_cores.CopyFrom(value(SECOND // 4))
    assert cores(usage, None) == 0.25
    assert cores(usage, usage) == 0.25, "a server may answer twice from one reading"
    assert cores(cpu(2 * SECOND, 3), usage) == 0.0, "a cgroup that was made anew counts from 0"


@pytest.mark.parametrize(("order", "first"), [("cpu", "shop/web"), ("memory", "shop/web"), ("name", "shop/a")])
def test_orders(order: str, first: str) -> None:
    service = Service()
    service.pods.append(pod("a"))
    assert rows(*readings(service), order)[0].name == first
