from pathlib import Path

import grpc
import pytest

from criserver.api.pb import api_pb2 as cri
from criserver.cli.client import Client, errors
from criserver.config.schema import Config
from criserver.errors import Code, CriError, Unavailable


class Failed(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


def test_an_error_keeps_its_code_and_words() -> None:
    with pytest.raises(CriError, match="^no such pod$") as caught, errors():
        raise Failed(grpc.StatusCode.NOT_FOUND, "no such pod")
    assert caught.value.code is Code.NOT_FOUND
    assert CriError.code is Code.UNKNOWN


def test_a_code_that_the_cri_does_not_use_is_unknown() -> None:
    with pytest.raises(CriError) as caught, errors():
        raise Failed(grpc.StatusCode.OUT_OF_RANGE, "x")
    assert caught.value.code is Code.UNKNOWN


def test_without_a_server_the_error_says_so(tmp_path: Path) -> None:
    config = Config(listen=f"unix://{tmp_path}/none.sock")
    with Client(config) as client, pytest.raises(Unavailable, match=r"no server answers: .*none\.sock"), errors():
        client.runtime.Version(cri.VersionRequest(), timeout=5)
