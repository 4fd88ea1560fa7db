"""A CRI client for commands: the stubs on a server's socket, and gRPC's errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import grpc

from criserver.api import admin
from criserver.api.pb.api_pb2_grpc import ImageServiceStub, RuntimeServiceStub
from criserver.config.schema import Config
from criserver.errors import Code, CriError, Unavailable

MESSAGE_LIMIT = 16 << 20


class Client:
    """A connection to the server that `config` describes; close it, or use it in a `with`."""

    def __init__(self, config: Config) -> None:
        options = [("grpc.max_receive_message_length", MESSAGE_LIMIT)]
        self.channel = grpc.insecure_channel(config.listen, options=options)
        # The stubs are typed for asyncio's channels; commands make one call after the other.
        channel: Any = self.channel
        self.runtime: Any = RuntimeServiceStub(channel)
        self.images: Any = ImageServiceStub(channel)

    def ask(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        """What the operator's service answers (`api/admin`); CriError as the server says."""
        with errors():
            return admin.call(self.channel, method, request)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()


@contextmanager
def errors() -> Iterator[None]:
    """Turn a failed call into the error that the server raised: its kind and its words."""
    try:
        yield
    except grpc.RpcError as error:
        # a failed call is a grpc.Call too, which the type stubs do not say
        code, details = error.code(), error.details()
        if code is grpc.StatusCode.UNAVAILABLE:
            raise Unavailable(f"no server answers: {details}") from error
        raised = CriError(details)
        raised.code = Code[code.name] if code.name in Code.__members__ else Code.UNKNOWN
        raise raised from error
