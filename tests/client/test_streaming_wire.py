"""What crictl does not do on a streaming connection: every subprotocol, TLS, and clients that behave oddly."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import certificates, cri
from tests.support.server import Client, Server
from tests.support.streaming import SpdyClient
from tests.support.websocket import CLOSE, ERROR, RESIZE, STDERR, STDIN, STDOUT, WebSocketClient, close_all

SECONDS = 60
V5 = "v5.channel.k8s.io"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with server.client() as connected:
        cri.pull(connected)
        yield connected


@pytest.fixture(scope="module")
def container(client: Client, base: Path) -> Iterator[str]:
    """A container that only runs."""
    logs = base / "wire"
    logs.mkdir()
    pod = cri.pod_config("wire", logs)
    pod_id = cri.run(client, pod)
    container_id = cri.create(client, pod_id, cri.container_config("sleeps", "sleep", "1000"), pod)
    cri.start(client, container_id)
    yield container_id
    cri.remove_pod(client, pod_id)


def run(body: Callable[[], Any]) -> None:
    async def bounded() -> None:
        try:
            async with asyncio.timeout(SECONDS):
                await body()
        finally:
            await close_all()

    asyncio.run(bounded())


def url(client: Client, container: str, *command: str, **wanted: bool) -> str:
    found: str = client("Exec", pb.ExecRequest(container_id=container, cmd=command, **wanted)).url
    return found


def sync(client: Client, container: str, script: str, timeout: int = 30) -> Any:
    return client("ExecSync", pb.ExecSyncRequest(container_id=container, cmd=["sh", "-c", script], timeout=timeout))


@pytest.mark.parametrize(
    "protocol",
    [V5, "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io", ""],
    ids=["v5", "v4", "v4-base64", "v1", "v1-base64", "none"],
)
def test_every_subprotocol(client: Client, container: str, protocol: str) -> None:
    async def body() -> None:
        script = "read line; echo out $line; echo err >&2; exit 3"
        peer = await WebSocketClient.connect(
            url(client, container, "sh", "-c", script, stdin=True, stdout=True, stderr=True), protocol
        )
        await peer.send(STDIN, b"question\n")
        await peer.until_end()
        assert (bytes(peer.received[STDOUT]), bytes(peer.received[STDERR])) == (b"out question\n", b"err\n")
        assert peer.code == 1000
        if "v4" in protocol or "v5" in protocol:
            status = json.loads(peer.received[ERROR])
            assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
        else:
            assert peer.received[ERROR] == b"command terminated with exit code 3"

    run(body)


def test_v5_closes_stdin_alone(client: Client, container: str) -> None:
    async def body() -> None:
        peer = await WebSocketClient.connect(
            url(client, container, "sh", "-c", "cat; echo end", stdin=True, stdout=True), V5
        )
        await peer.send(STDIN, b"through ")
        await peer.send(CLOSE, bytes((STDIN,)))
        await peer.until_end()
        assert peer.received[STDOUT] == b"through end\n"
        assert json.loads(peer.received[ERROR])["status"] == "Success"

    run(body)


def test_a_terminal_whose_output_nobody_wants_does_not_wait_for_a_reader(client: Client, container: str) -> None:
    async def body() -> None:
        script = "read line; yes $line | head -c 300000; echo done >/unread"
        peer = await WebSocketClient.connect(url(client, container, "sh", "-c", script, stdin=True, tty=True), V5)
        await peer.send(STDIN, b"x\n")
        await peer.until_end()
        assert json.loads(peer.received[ERROR])["status"] == "Success"
        assert not peer.received[STDOUT]
        assert sync(client, container, "cat /unread").stdout == b"done\n"

    run(body)


def test_a_terminal_whose_client_vanishes_is_hung_up_on_before_it_is_killed(client: Client, container: str) -> None:
    async def body() -> None:
        script = "trap 'echo hup >/hung-up; sleep 1001' HUP; echo ready; while :; do sleep 0.05; done"
        peer = await WebSocketClient.connect(url(client, container, "sh", "-c", script, stdout=True, tty=True), V5)
        await peer.until(STDOUT, b"ready")
        peer.close()
        while sync(client, container, "ps | grep -c 'sleep [01]'; cat /hung-up").stdout != b"1\nhup\n":
            await asyncio.sleep(0.2)  # the container's own `sleep 1000` is left

    run(body)


def test_resizes_over_websocket(client: Client, container: str) -> None:
    async def body() -> None:
        peer = await WebSocketClient.connect(
            url(client, container, "sh", stdin=True, stdout=True, tty=True), V5
        )
        for columns, rows in ((91, 17), (120, 40)):
            await peer.send(RESIZE, b'{"Width":%d,"Height":%d}' % (columns, rows))
            while b"%d %d\r\n" % (rows, columns) not in peer.received[STDOUT]:
                await peer.send(STDIN, b"stty size\n")
                assert await peer.read()
        await peer.send(STDIN, b"exit 0\n")
        await peer.until_end()
        assert json.loads(peer.received[ERROR])["status"] == "Success"

    run(body)


def test_exec_sync_at_its_deadline_kills_what_has_left_its_session(client: Client, container: str) -> None:
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as refused:
        sync(client, container, "setsid sh -c 'setsid sleep 2002 & sleep 2003' & sleep 2004", timeout=1)
    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 20
    assert sync(client, container, "ps | grep 'sleep 200[234]' | grep -v grep").stdout == b""


def test_exec_sync_does_not_wait_for_a_child_that_holds_its_pipe(client: Client, container: str) -> None:
    began = time.monotonic()
    assert sync(client, container, "sleep 2005 & echo done").stdout == b"done\n"
    assert time.monotonic() - began < 20


def test_exec_sync_says_that_it_has_cut_the_output(client: Client, container: str) -> None:
    answer = sync(client, container, "head -c 40000000 /dev/zero; echo last >&2")
    assert answer.ByteSize() <= 16 << 20 < len(answer.stdout) + 4096
    assert answer.stderr.startswith(b"last\n") and b"was cut" in answer.stderr


def test_a_url_is_good_once(client: Client, container: str) -> None:
    async def body() -> None:
        once = url(client, container, "true", stdout=True)
        await (await WebSocketClient.connect(once, V5)).until_end()
        with pytest.raises(AssertionError, match="refused"):
            await WebSocketClient.connect(once, V5)

    run(body)


def test_a_detached_client_does_no_harm(client: Client, base: Path) -> None:
    logs = base / "detach"
    logs.mkdir()
    pod = cri.pod_config("detach", logs)
    pod_id = cri.run(client, pod)
    wish = cri.container_config("counts", "sh", "-c", "i=0; while :; do echo $((i=i+1)); sleep 0.01; done")
    wish.log_path = "counts.log"
    container_id = cri.create(client, pod_id, wish, pod)
    cri.start(client, container_id)

    async def body() -> None:
        for _ in range(5):
            request = pb.AttachRequest(container_id=container_id, stdout=True)
            peer = await WebSocketClient.connect(client("Attach", request).url, V5)
            while not peer.received[STDOUT]:
                assert await peer.read()
            peer.close()

    run(body)
    time.sleep(0.5)
    assert cri.status(client, container_id).state == pb.CONTAINER_RUNNING
    client("StopContainer", pb.StopContainerRequest(container_id=container_id, timeout=0))
    lines = [int(line.split()[3]) for line in (logs / "counts.log").read_text().splitlines()]
    assert lines == list(range(1, len(lines) + 1)) and len(lines) > 20
    cri.remove_pod(client, pod_id)


@pytest.fixture
def tls(tmp_path: Path, pulling: Mapping[str, str]) -> Iterator[tuple[Server, Path, Path]]:
    """A server with a certificate, and the paths of that and its key."""
    if lacking := certificates.missing():
        pytest.skip(lacking)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificates.make(cert, key, "first")
    streaming = {"tls_cert": str(cert), "tls_key": str(key)}
    with serving(tmp_path / "server", {"image": pulling, "streaming": streaming}) as running:
        yield running, cert, key


def test_tls_and_a_certificate_that_is_renewed(tls: tuple[Server, Path, Path], tmp_path: Path) -> None:
    server, cert, key = tls

    async def body(client: Client, container: str) -> None:
        first = ssl.create_default_context(cafile=str(cert))
        standing = await WebSocketClient.connect(url(client, container, "cat", stdin=True, stdout=True), V5, first)
        await standing.send(STDIN, b"before ")
        await standing.until(STDOUT, b"before ")
        certificates.make(tmp_path / "new.pem", tmp_path / "new.key", "second")
        os.replace(tmp_path / "new.key", key)
        os.replace(tmp_path / "new.pem", cert)
        second = ssl.create_default_context(cafile=str(cert))
        peer = None
        while peer is None:
            try:
                peer = await WebSocketClient.connect(url(client, container, "echo", "new", stdout=True), V5, second)
            except ssl.SSLCertVerificationError:
                await asyncio.sleep(0.5)
        await peer.until_end()
        assert peer.received[STDOUT] == b"new\n"
        with pytest.raises(ssl.SSLCertVerificationError):
            await WebSocketClient.connect(url(client, container, "true", stdout=True), V5, first)
        await standing.send(STDIN, b"after")
        await standing.send(CLOSE, bytes((STDIN,)))
        await standing.until_end()
        assert standing.received[STDOUT] == b"before after"

    with server.client() as client:
        cri.pull(client)
        pod = cri.pod_config("tls")
        pod_id = cri.run(client, pod)
        container_id = cri.create(client, pod_id, cri.container_config("sleeps", "sleep", "1000"), pod)
        cri.start(client, container_id)
        assert url(client, container_id, "true", stdout=True).startswith("https://127.0.0.1:")
        run(lambda: body(client, container_id))
        cri.remove_pod(client, pod_id)


def test_garbage_on_an_upgraded_connection_closes_it_and_leaves_nothing(
    server: Server, client: Client, container: str
) -> None:
    async def body() -> None:
        for garbage in (b"\xff" + os.urandom(1 << 16), b"\x80\x03\x00\x04\x00\xff\xff\xff" + bytes(1 << 20)):
            command = ("sleep", "2006")
            peer = await SpdyClient.connect(url(client, container, *command, stdout=True), "v4.channel.k8s.io")
            peer._writer.write(garbage)
            while await peer.read():
                pass
            peer.close()

    run(body)
    assert sync(client, container, "ps | grep 'sleep 2006' | grep -v grep").stdout == b""
