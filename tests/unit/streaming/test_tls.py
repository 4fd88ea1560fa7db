from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from criserver.errors import FailedPrecondition
from criserver.lifecycle.running.streams import Exec
from criserver.ports.streams import Wanted
from criserver.streaming.tls import Certificate
from tests.support import certificates
from tests.support.streaming import FakeService, serving

WISH = Exec("c1", ("x",), Wanted(stdout=True))


def make(directory: Path, name: str) -> tuple[str, str]:
    """A self-signed pair for localhost; paths of certificate and key."""
    if lacking := certificates.missing():
        pytest.skip(lacking)
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    certificates.make(cert, key, name)
    return str(cert), str(key)


async def answer(url: str, cert: str) -> bytes:
    """What the server says over TLS to one who trusts that certificate alone."""
    port = urlsplit(url).port
    context = ssl.create_default_context(cafile=cert)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        return await reader.read()
    finally:
        writer.close()


async def test_served_and_renewed(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one"), make(tmp_path, "two")
    cert, key = str(tmp_path / "tls.crt"), str(tmp_path / "tls.key")
    for source, target in zip(one, (cert, key), strict=True):
        shutil.copy(source, target)
    certificate = Certificate(cert, key)
    async with serving(FakeService(), certificate=certificate) as server, asyncio.timeout(20):
        url = server.url(WISH)
        assert url.startswith("https://127.0.0.1:")
        assert (await answer(url, one[0])).startswith(b"HTTP/1.1 404 ")
        os.replace(two[0], cert)
        certificate.refresh()  # the key has not come yet: the pair does not fit
        assert (await answer(url, one[0])).startswith(b"HTTP/1.1 404 ")
        os.replace(two[1], key)
        certificate.refresh()
        assert (await answer(url, cert)).startswith(b"HTTP/1.1 404 ")
        with pytest.raises(ssl.SSLError):
            await answer(url, one[0])


def test_what_is_no_pair(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"streaming\.tls_cert, streaming\.tls_key: "):
        Certificate(str(tmp_path / "none"), str(tmp_path / "none"))
    one, two = make(tmp_path, "one"), make(tmp_path, "two")
    with pytest.raises(FailedPrecondition, match="KEY_VALUES_MISMATCH|key values mismatch"):
        Certificate(one[0], two[1])
