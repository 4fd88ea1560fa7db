"""The scraping endpoint over real sockets: what it answers, and what hostile or clumsy clients get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from criserver.errors import FailedPrecondition
from criserver.observe import endpoint as module
from criserver.observe.endpoint import Endpoint

Asking = Callable[[bytes], Awaitable[bytes]]


class Text:
    """What is scraped."""

    def __init__(self) -> None:
        self.asked, self.error = 0, False
        self.ready = asyncio.Event()
        self.ready.set()

    async def __call__(self) -> bytes:
        self.asked += 1
        await self.ready.wait()
        if self.error:
            raise ValueError("no text")
        return b"up 1\n"


@pytest.fixture
async def text() -> Text:
    return Text()


@pytest.fixture
async def endpoint(text: Text) -> AsyncIterator[Endpoint]:
    made = Endpoint(text, address="127.0.0.1", port=0)
    await made.start()
    yield made
    made.stop()
    await asyncio.sleep(0.01)


async def ask(endpoint: Endpoint, request: bytes) -> bytes:
    """Everything that comes back until the server closes, or a second has passed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    answer = b""
    try:
        writer.write(request)
        async with asyncio.timeout(1):
            while part := await reader.read(65536):
                answer += part
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return answer


def request(path: str = "/metrics", *, method: str = "GET", extra: str = "Connection: close\r\n") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: here\r\n{extra}\r\n".encode()


async def test_metrics(endpoint: Endpoint) -> None:
    head, _, body = (await ask(endpoint, request("/metrics?x=1"))).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-type: text/plain; version=0.0.4" in head.lower()
    assert body == b"up 1\n"


async def test_a_head_has_no_body(endpoint: Endpoint) -> None:
    head, _, body = (await ask(endpoint, request(method="HEAD"))).partition(b"\r\n\r\n")
    assert b"content-length: 5" in head.lower()
    assert body == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/"), b"404"),
        (request("/metrics/../etc/passwd"), b"404"),
        (request(method="POST", extra="Content-Length: 3\r\n") + b"abc", b"405"),
        (request(method="DELETE"), b"405"),
    ],
)
async def test_nothing_else_is_answered(endpoint: Endpoint, text: Text, sent: bytes, status: bytes) -> None:
    assert (await ask(endpoint, sent)).split(b" ")[1] == status
    assert text.asked == 0


async def test_a_connection_is_kept(endpoint: Endpoint) -> None:
    answers = await ask(endpoint, request(extra="") + request())
    assert answers.count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\r\n\r\n", b"GET /metrics\r\n\r\n", b"A" * 100_000])
async def test_garbage_is_hung_up_on(endpoint: Endpoint, garbage: bytes) -> None:
    assert await ask(endpoint, garbage) == b""
    assert (await ask(endpoint, request())).endswith(b"up 1\n")


async def test_a_slow_client_is_hung_up_on(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    began = asyncio.get_running_loop().time()
    assert await ask(endpoint, b"GET /metrics HTTP/1.1\r\nHost:") == b""
    assert asyncio.get_running_loop().time() - began < 0.9


async def test_there_is_a_most_of_clients(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLIENTS", 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    await asyncio.sleep(0.05)
    assert await ask(endpoint, request()) == b""
    writer.close()
    await reader.read()
    await asyncio.sleep(0.05)
    assert (await ask(endpoint, request())).endswith(b"up 1\n")


async def test_scrapes_at_a_time_share_an_answer(endpoint: Endpoint, text: Text) -> None:
    text.ready.clear()
    asking = [asyncio.get_running_loop().create_task(ask(endpoint, request())) for _ in range(3)]
    await asyncio.sleep(0.1)
    text.ready.set()
    assert [answer[-5:] for answer in await asyncio.gather(*asking)] == [b"up 1\n"] * 3
    assert text.asked == 1


async def test_a_failure_is_told_and_does_not_last(
    endpoint: Endpoint, text: Text, caplog: pytest.LogCaptureFixture
) -> None:
    text.error = True
    assert (await ask(endpoint, request())).startswith(b"HTTP/1.1 500")
    assert "metrics cannot be told: no text" in caplog.text
    text.error = False
    assert (await ask(endpoint, request())).endswith(b"up 1\n")


async def test_a_port_that_is_taken(endpoint: Endpoint, text: Text) -> None:
    with pytest.raises(FailedPrecondition, match=rf"metrics\.port: cannot listen on 127.0.0.1 port {endpoint.port}"):
        await Endpoint(text, address="127.0.0.1", port=endpoint.port).start()
