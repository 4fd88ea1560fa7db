from __future__ import annotations

import asyncio
import contextlib
import json
import os
from typing import Any

import pytest

from criserver.lifecycle.running.streams import Attach, Exec
from criserver.ports.streams import Wanted
from criserver.streaming import command
from tests.support.streaming import FakeService, SpdyClient, serving

BOTH = Wanted(stdin=True, stdout=True)


async def streams(client: SpdyClient, *names: str) -> dict[str, int]:
    return {name: client.open(streamType=name) for name in names}


async def test_exec_there_and_back(service: FakeService) -> None:
    process = service.process
    assert process is not None
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Exec("c1", ("cat",), BOTH)), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdin", "stdout")
        await client.send(ids["stdin"], b"question", end=True)
        read = asyncio.to_thread(os.read, process.stdin, 100)
        assert await read == b"question"
        assert await asyncio.to_thread(os.read, process.stdin, 100) == b""  # half-closed
        os.write(process.stdout, b"answer")
        await client.until(ids["stdout"], b"answer")
        os.write(process.stdout, b", late")
        process.code.set_result(3)
        status = json.loads(await client.until_end(ids["error"]))
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
        assert client.received[ids["stdout"]] == b"answer, late"
        await process.ended.wait()


async def test_an_output_held_open_does_not_hold_the_status(service: FakeService) -> None:
    process = service.process
    assert process is not None
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Exec("c1", ("x",), Wanted(stdout=True))), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdout")
        process.code.set_result(0)
        assert json.loads(await client.until_end(ids["error"]))["status"] == "Success"
        while not client.gone:
            assert await client.read()


async def test_a_command_does_not_outlive_its_container(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_OUTLIVE", 0.05)
    process = service.process
    assert process is not None
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Exec("c1", ("x",), Wanted(stdout=True))), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdout")
        os.write(process.stdout, b"there")
        await client.until(ids["stdout"], b"there")
        service.container_ended.set()
        assert "container c1 has ended" in json.loads(await client.until_end(ids["error"]))["message"]
        await process.ended.wait()


async def test_a_client_that_vanishes_ends_the_process(service: FakeService) -> None:
    process = service.process
    assert process is not None
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Exec("c1", ("x",), BOTH)), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdin", "stdout")
        os.write(process.stdout, b"there")
        await client.until(ids["stdout"], b"there")
        client.close()
        await process.ended.wait()


async def test_a_client_that_vanishes_while_nothing_is_read_from_it(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("criserver.streaming.link._WATCH", 0.05)
    process = service.process
    assert process is not None
    async with serving(service) as server, asyncio.timeout(20):
        client = await SpdyClient.connect(server.url(Exec("c1", ("x",), BOTH)), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdin", "stdout")
        await client.send(ids["stdin"], bytes(1_500_000))  # more than may wait: the process reads nothing
        await asyncio.sleep(0.1)
        client.close()
        await process.ended.wait()


async def test_a_slow_client_makes_the_process_wait(service: FakeService) -> None:
    process = service.process
    assert process is not None
    os.set_blocking(process.stdout, False)
    async with serving(service) as server, asyncio.timeout(20):
        client = await SpdyClient.connect(server.url(Exec("c1", ("x",), Wanted(stdout=True))), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdout")
        written, idle = 0, 0
        while idle < 10:
            try:
                written += os.write(process.stdout, bytes(65536))
                idle = 0
            except BlockingIOError:
                idle += 1
                await asyncio.sleep(0.02)
            assert written < 64 << 20
            await asyncio.sleep(0)
        process.code.set_result(0)
        await client.until_end(ids["error"])
        assert len(client.received[ids["stdout"]]) == written


async def test_the_output_of_a_terminal_is_read_though_nobody_wants_it(service: FakeService) -> None:
    process = service.process
    assert process is not None
    async with serving(service) as server, asyncio.timeout(20):
        wish = Exec("c1", ("sh",), Wanted(stdin=True, tty=True))
        client = await SpdyClient.connect(server.url(wish), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdin", "resize")
        os.set_blocking(process.stdout, False)
        written = 0
        while written < 1 << 20:  # more than a pipe holds
            with contextlib.suppress(BlockingIOError):
                written += os.write(process.stdout, bytes(1 << 16))
            await asyncio.sleep(0.001)
        process.code.set_result(0)
        assert b"Success" in await client.until_end(ids["error"])


async def test_resizes_come_before_and_after_the_start(service: FakeService) -> None:
    process = service.process
    assert process is not None
    wanted = Wanted(stdin=True, stdout=True, tty=True)
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Exec("c1", ("sh",), wanted)), "v4.channel.k8s.io")
        ids = await streams(client, "error", "resize")
        await client.send(ids["resize"], b'{"Width":80,"Height":24}')
        ids |= await streams(client, "stdin", "stdout")
        os.write(process.stdout, b"$ ")
        await client.until(ids["stdout"], b"$ ")
        await client.send(ids["resize"], b'{"Width":100,"Height":30}')
        while (100, 30) not in process.sizes:
            await asyncio.sleep(0.01)
        assert process.sizes == [(80, 24), (100, 30)]
        client.close()
        await process.ended.wait()


async def test_no_process_is_told_in_the_status() -> None:
    async with serving(FakeService()) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Exec("c1", ("x",), Wanted(stdout=True))), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdout")
        status = json.loads(await client.until_end(ids["error"]))
        assert status["reason"] == "InternalError"
        assert status["message"] == "exec in container c1: no such program"


async def test_streams_that_never_come(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_READY", 0.05)
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Exec("c1", ("x",), BOTH)), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdout")
        status = json.loads(await client.until_end(ids["error"]))
        assert status["message"].endswith("to open its streams: stdin")


async def test_attach(service: FakeService) -> None:
    attached = service.attachment
    async with serving(service) as server, asyncio.timeout(10):
        wanted = Wanted(stdin=True, stdout=True, stderr=True)
        client = await SpdyClient.connect(server.url(Attach("c1", wanted)), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdin", "stdout", "stderr")
        attached.output.put_nowait((False, b"out"))
        attached.output.put_nowait((True, b"err"))
        await client.until(ids["stderr"], b"err")
        assert client.received[ids["stdout"]] == b"out"
        await client.send(ids["stdin"], b"typed", end=True)
        await attached.eof.wait()
        assert attached.stdin == b"typed"
        attached.output.put_nowait(None)
        assert json.loads(await client.until_end(ids["error"]))["status"] == "Success"
        await attached.closed.wait()


async def test_attached_client_that_was_too_slow_is_told(service: FakeService) -> None:
    service.running = True
    service.attachment.output.put_nowait(None)
    async with serving(service) as server, asyncio.timeout(10):
        client = await SpdyClient.connect(server.url(Attach("c1", Wanted(stdout=True))), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdout")
        assert "as fast as it came" in json.loads(await client.until_end(ids["error"]))["message"]


async def test_detaching_and_resizing(service: FakeService) -> None:
    attached: Any = service.attachment
    async with serving(service) as server, asyncio.timeout(10):
        wanted = Wanted(stdin=True, stdout=True, tty=True)
        client = await SpdyClient.connect(server.url(Attach("c1", wanted)), "v4.channel.k8s.io")
        ids = await streams(client, "error", "stdin", "stdout", "resize")
        await client.send(ids["resize"], b'{"Width":80,"Height":24}')
        while not attached.sizes:
            await asyncio.sleep(0.01)
        assert attached.sizes == [(80, 24)]
        client.close()
        await attached.closed.wait()
