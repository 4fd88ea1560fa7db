"""The helper's main program: forks one jailed child per layer, a few at a time, and answers for all of them.

The child opens the blob, enters the layer's directory for good, and only then reads. Its answer comes back through a
pipe; a child that dies without one has failed. The first failure ends the rest: the image cannot be had any more.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from typing import Any

from criserver.drivers.unpack import jail, tree
from criserver.drivers.unpack.protocol import Refused
from criserver.drivers.unpack.source import Source, prepare
from criserver.drivers.unpack.usage import Usage, usage

KILLED = "INTERNAL_KILLED"
Layer = dict[str, Any]
Answer = dict[str, Any]


def main() -> None:
    """Read the request, unpack, write the answer."""
    jail.prctl(jail.PR_SET_PDEATHSIG, signal.SIGKILL)
    request = json.load(sys.stdin)
    sys.stdout.write(json.dumps(_unpack_all(request)))


def _unpack_all(request: dict[str, Any]) -> list[Answer]:
    layers: list[Layer] = request["layers"]
    answers: list[Answer | None] = [None] * len(layers)
    running: dict[int, tuple[int, int]] = {}
    waiting = list(reversed(range(len(layers))))
    while waiting or running:
        while waiting and len(running) < request["parallel"]:
            number = waiting.pop()
            pid, pipe = _fork(layers[number], request)
            running[pid] = (number, pipe)
        pid, _ = os.wait()
        number, pipe = running.pop(pid)
        answer = answers[number] = _answer(pipe)
        if "error" in answer and "blob" in layers[number]:
            answer["message"] = f"layer {layers[number]['digest']}: {answer['message']}"
            waiting.clear()
            for other in running:
                os.kill(other, signal.SIGKILL)
    if layers and "blob" not in layers[0]:
        return [answer for answer in answers if answer]
    return _until_error(answers) or _synced(layers, answers)


def _until_error(answers: list[Answer | None]) -> list[Answer]:
    """The one error that explains why there are not all answers: siblings killed for it are not the reason."""
    failed = [answer for answer in answers if answer and "error" in answer]
    return sorted(failed, key=lambda answer: str(answer["error"]) == KILLED)[:1]


def _synced(layers: list[Layer], answers: list[Answer | None]) -> list[Answer]:
    """The answers once everything is on disk: a tree that is renamed into place must not lose files with the power."""
    try:
        if layers:
            jail.syncfs(os.path.dirname(layers[0]["target"]))
    except OSError as error:
        return [_failure(error)]
    return [answer for answer in answers if answer]


def _fork(layer: Layer, request: dict[str, Any]) -> tuple[int, int]:
    parent = os.getpid()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, ours
    try:
        os.close(ours)
        jail.die_with_parent(parent)
        os.write(theirs, json.dumps(_unpack(layer, request)).encode())
    finally:
        os._exit(0)


def _answer(pipe: int) -> Answer:
    with os.fdopen(pipe, "rb") as file:
        data = file.read()
    if not data:
        return {"error": KILLED, "message": "the process that unpacked the layer was killed"}
    answer: Answer = json.loads(data)
    return answer


def _unpack(layer: Layer, request: dict[str, Any]) -> Answer:
    try:
        found = _filled(layer, request) if "blob" in layer else _looked_at(layer)
    except Refused as error:
        return {"error": error.code, "message": str(error)}
    except OSError as error:
        return _failure(error)
    except MemoryError:
        return {"error": "RESOURCE_EXHAUSTED", "message": "unpacking the layer needs too much memory"}
    except Exception as error:  # whatever it is, the server tells it
        return {"error": "INTERNAL", "message": f"unpacking the layer failed: {error!r}"}
    return found._asdict()


def _filled(layer: Layer, request: dict[str, Any]) -> Usage:
    fd = os.open(layer["blob"], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    prepare(fd)
    source = Source(fd, layer["digest"], layer["diff_id"], request["bytes"])
    jail.enter(layer["target"], request["bytes"])
    return tree.fill(source, request["entries"])


def _looked_at(layer: Layer) -> Usage:
    os.nice(10)  # nobody waits for it, and containers run beside it
    jail.enter(layer["target"], 0)
    return usage()


def _failure(error: OSError) -> Answer:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return {"error": "RESOURCE_EXHAUSTED" if full else "INTERNAL", "message": str(error)}


if __name__ == "__main__":
    main()
