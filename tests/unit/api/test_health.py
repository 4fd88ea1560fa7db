from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from criserver.api.health import NOT_SERVING, SERVICE_UNKNOWN, SERVING, HealthHandlers
from criserver.errors import NotFound

CONTEXT: Any = None


async def test_check() -> None:
    handlers = HealthHandlers(["a.B"])
    for name in ("", "a.B"):
        assert (await handlers.check(StringValue(value=name), CONTEXT)).value == SERVING
    with pytest.raises(NotFound, match=r"a\.B"):
        await handlers.check(StringValue(value="c"), CONTEXT)
    handlers.stop()
    assert (await handlers.check(StringValue(), CONTEXT)).value == NOT_SERVING


async def test_watch_tells_of_the_stop_and_ends() -> None:
    handlers = HealthHandlers(["a.B"])
    known, unknown = handlers.watch(StringValue(value="a.B"), CONTEXT), handlers.watch(StringValue(value="c"), CONTEXT)
    assert (await anext(known)).value == SERVING
    assert (await anext(unknown)).value == SERVICE_UNKNOWN
    handlers.stop()
    assert [answer.value async for answer in known] == [NOT_SERVING]
    assert [answer.value async for answer in unknown] == []
    assert [answer.value async for answer in handlers.watch(StringValue(), CONTEXT)] == [NOT_SERVING]
