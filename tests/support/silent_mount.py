"""A FUSE file system that takes requests and never answers: what a network mount is whose server is gone.

A process that waits for it cannot even be killed: its request is with the server already (request_wait_answer in
fs/fuse/dev.c).
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from criserver.kernel import mount

_INIT = 26  # FUSE_INIT of linux/fuse.h
_IN_HEADER, _OUT_HEADER = struct.Struct("=IIQQIIIHH"), struct.Struct("=IiQ")
# fuse_init_out: major, minor, max_readahead, flags, max_background, congestion_threshold, max_write, time_gran, ...
_INIT_OUT = struct.Struct("=IIIIHHII32x")


@contextlib.contextmanager
def silent_mount(target: Path) -> Iterator[None]:
    """Mounted at `target`; at the end whoever waits is told that the connection is aborted."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    stop, woken = os.pipe()
    mount.mount("silent", str(target), "fuse", 0, f"fd={device},rootmode=40000,user_id=0,group_id=0")
    server = threading.Thread(target=_serve, args=(device, stop), daemon=True)
    server.start()
    try:
        yield
    finally:
        mount.unmount(str(target))
        os.close(woken)
        server.join()
        os.close(device)
        os.close(stop)


def _serve(device: int, stop: int) -> None:
    """Say hello, then only listen."""
    import select

    while stop not in (ready := select.select([device, stop], [], [])[0]):
        assert ready
        try:
            request = os.read(device, 1 << 18)
        except OSError:
            return  # Unmounted.
        _, opcode, unique, *_ = _IN_HEADER.unpack_from(request)
        if opcode == _INIT:
            body = _INIT_OUT.pack(7, 31, 1 << 17, 0, 12, 9, 1 << 17, 1)
            os.write(device, _OUT_HEADER.pack(_OUT_HEADER.size + len(body), 0, unique) + body)
