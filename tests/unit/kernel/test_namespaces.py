"""Throw-away threads: what they change ends with them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from criserver.kernel import namespaces


def test_result_and_exception_come_from_another_thread() -> None:
    assert namespaces.in_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        namespaces.in_thread(lambda: 1 // 0)


def test_thread_is_gone_afterwards() -> None:
    thread = namespaces.in_thread(threading.current_thread)
    assert not thread.is_alive()


def test_working_directory_is_the_threads_own(tmp_path: Path) -> None:
    here = os.getcwd()
    assert namespaces.in_directory(str(tmp_path), os.getcwd) == str(tmp_path)
    assert os.getcwd() == here


def test_missing_directory_and_missing_namespace(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        namespaces.in_directory(str(tmp_path / "missing"), os.getcwd)
    with pytest.raises(FileNotFoundError):
        namespaces.inside(str(tmp_path / "missing"), os.getcwd)
