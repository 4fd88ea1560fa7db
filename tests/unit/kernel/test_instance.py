"""One server per directory and per socket, for exactly as long as it lives."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from criserver.errors import FailedPrecondition
from criserver.kernel.instance import claim, claim_socket, leave_socket

HOLDER = "import sys, time; from criserver.kernel.instance import claim; claim(sys.argv[1]); print(1, flush=True)"


def test_the_second_is_told_who_has_it(tmp_path: Path) -> None:
    directory = str(tmp_path / "run" / "criserver")
    fd = claim(directory)
    try:
        with pytest.raises(FailedPrecondition, match=f"{directory} is in use by the server with pid {os.getpid()}:"):
            claim(directory)
    finally:
        os.close(fd)
    os.close(claim(directory))


def test_no_descriptor_is_left_by_a_refused_claim(tmp_path: Path) -> None:
    fd = claim(str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(FailedPrecondition):
            claim(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(fd)


def test_the_directory_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    fd = claim(str(tmp_path / "state"))
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert not os.get_inheritable(fd), "a child that outlives the server would go on holding the lock"
    os.close(fd)


def test_a_server_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", f"{HOLDER}; time.sleep(600)", str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout and holder.stdout.readline() == b"1\n"
            with pytest.raises(FailedPrecondition, match=f"pid {holder.pid}:"):
                claim(str(tmp_path))
        finally:
            holder.send_signal(signal.SIGKILL)
    os.close(claim(str(tmp_path)))
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_socket_that_another_program_listens_on(tmp_path: Path) -> None:
    path = str(tmp_path / "cri.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(path)
        other.listen(1)
        with pytest.raises(FailedPrecondition, match=f"{path} is listened on by the server with pid {os.getpid()}:"):
            claim_socket(path)
        assert os.path.exists(path), "it is the other's"


def test_a_socket_whose_queue_is_full(tmp_path: Path) -> None:
    path = str(tmp_path / "cri.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(path)
        other.listen(0)
        waiting = []
        for _ in range(8):
            end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            waiting.append(end)
            end.connect_ex(path)
        with pytest.raises(FailedPrecondition, match="with pid unknown"):
            claim_socket(path)
        for end in waiting:
            end.close()


def test_two_servers_that_start_at_once_on_one_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "run" / "cri.sock")
    fd = claim_socket(path)
    with pytest.raises(FailedPrecondition, match=f"{path} is listened on by the server with pid {os.getpid()}:"):
        claim_socket(path)
    os.close(fd)


def test_the_socket_of_a_dead_server_is_taken_away(tmp_path: Path) -> None:
    path = str(tmp_path / "cri.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(path)
    os.close(claim_socket(path))
    assert not os.path.exists(path)


def test_nothing_is_left_beside_a_socket_that_was_left(tmp_path: Path) -> None:
    path = str(tmp_path / "cri.sock")
    fd = claim_socket(path)
    leave_socket(path)
    leave_socket(path)
    assert list(tmp_path.iterdir()) == []
    other = claim_socket(path)
    assert os.path.exists(f"{path}.lock"), "the lock that counts is the one that others find"
    os.close(fd)
    with pytest.raises(FailedPrecondition):
        claim_socket(path)
    os.close(other)
