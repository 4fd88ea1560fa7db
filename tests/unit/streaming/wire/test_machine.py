from __future__ import annotations

from criserver.errors import Code, CriError
from criserver.streaming.wire.machine import LocalProtocolError, RemoteProtocolError, first_value


def test_first_value_is_the_first_of_its_name() -> None:
    headers = (("port", "80"), ("a", "1"), ("a", "2"))
    assert first_value(headers, "a") == "1"
    assert first_value(headers, "A") is None


def test_whose_fault_is_told_by_type_and_code() -> None:
    remote = RemoteProtocolError("x", b"bye")
    assert isinstance(remote, CriError)
    assert (remote.code, remote.farewell) == (Code.INVALID_ARGUMENT, b"bye")
    assert LocalProtocolError("x").code is Code.INTERNAL
    assert not isinstance(remote, LocalProtocolError)
