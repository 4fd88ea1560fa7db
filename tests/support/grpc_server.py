"""A gRPC server in the test's own loop, with the interceptor of the real one, for tests of handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio

from criserver.api.interceptor import Statuses
from criserver.observe.metrics import Metrics


@asynccontextmanager
async def serving(
    directory: Path, *services: grpc.GenericRpcHandler, metrics: Metrics | None = None
) -> AsyncIterator[str]:
    """Serve `services` on a socket in `directory`; yields its URI."""
    address = f"unix://{directory}/test.sock"
    server = grpc.aio.server(interceptors=[Statuses(metrics or Metrics())])
    server.add_generic_rpc_handlers(services)
    server.add_insecure_port(address)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(0)
