"""Finding and starting the zygote."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conmon import starter
from conmon.client import ConmonError, ensure_zygote
from tests.support.machine import a_cgroup_of


def test_many_starters_get_one_zygote(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        pids = set(pool.map(lambda _: ensure_zygote(tmp_path / "z"), range(8)))
    assert len(pids) == 1
    os.kill(pids.pop(), 9)


def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    first = ensure_zygote(tmp_path)
    assert starter.probe(tmp_path) == first
    os.kill(first, 9)
    second = ensure_zygote(tmp_path)
    assert second != first
    os.kill(second, 9)


def test_the_starters_words_when_python_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConmonError, match="cannot start the zygote with /no/such/python"):
        ensure_zygote(tmp_path, python="/no/such/python")


def test_zygote_enters_the_given_cgroups(tmp_path: Path) -> None:
    cgroup = a_cgroup_of() / f"criserver-test-conmon-zygote-{os.getpid()}"
    cgroup.mkdir()
    try:
        pid = ensure_zygote(tmp_path, cgroup_procs=(cgroup / "cgroup.procs",))
        assert str(pid) in (cgroup / "cgroup.procs").read_text().split()
        os.kill(pid, 9)
        while (cgroup / "cgroup.procs").read_text():
            time.sleep(0.01)
    finally:
        cgroup.rmdir()
