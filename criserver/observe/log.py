"""The one log handler: records become lines of `lines` and go to standard error without making anybody wait.

Standard error may be a pipe or a journal whose reader has stopped, and a write to it would then stop the event loop. So
a line is formatted where it is logged (there the context is known) and put into a bounded queue that one thread writes
out; when the queue is full, lines are counted and dropped, and the count is logged as soon as there is room. Until
`start` there is no thread and lines are written at once: the zygote must be forked before the first thread.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from datetime import UTC, datetime

from criserver.observe import context, lines

MAX_QUEUED = 4 << 20  # characters of lines that wait for the reader of standard error: minutes of a busy server

# What every record has (logging.LogRecord); the rest came in as `extra={...}` and is printed.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Formatter(logging.Formatter):
    """A record, with the fields of its `extra` and of the log context, as one line of `lines`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, followed by the indented traceback if the record has one."""
        fields = dict(context.current())
        fields |= {name: str(value) for name, value in vars(record).items() if name not in _OWN}
        line = lines.render(lines.Line(_time(record.created), record.levelname, record.getMessage(), fields))
        trace = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        return line + lines.render_block(trace)


class StderrHandler(logging.Handler):
    """Writes lines to descriptor `fd`: at once until `start`, by a thread after it (why: see the module)."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.setFormatter(Formatter())
        self._fd = fd
        self._queue: deque[str] = deque()
        self._queued = 0
        self._lost = 0
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write or queue the record; never raises and, once started, never blocks."""
        try:
            line = self.format(record) + "\n"
        except Exception:  # a wrong log call must not stop what it tells of
            self.handleError(record)
            return
        if self._thread is None:
            self._write(line)
            return
        with self._wake:
            if self._queued + len(line) > MAX_QUEUED:
                self._lost += 1
                return
            self._queue.append(line)
            self._queued += len(line)
            self._wake.notify()

    def start(self) -> None:
        """From now on lines are written by a thread."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write out what is queued, waiting at most a second for a reader that has stopped, and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(1)
        super().close()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                batch, self._queued = "".join(self._queue), 0
                self._queue.clear()
                lost, self._lost = self._lost, 0
            self._write(batch + (_lost_line(lost) if lost else ""))

    def _write(self, text: str) -> None:
        data = text.encode(errors="backslashreplace")
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            pass  # nobody reads standard error any more; there is nowhere to say so


def configure(level: str) -> StderrHandler:
    """Send all log records of at least `level` ("debug", "info", "warning", "error") to standard error.

    Replaces what an earlier call set up. The caller starts the handler once threads may run, and closes it at the end.
    """
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, StderrHandler)]:
        root.removeHandler(old)
        old.close()
    handler = StderrHandler(sys.stderr.fileno())
    root.addHandler(handler)
    set_level(level)
    return handler


def set_level(level: str) -> None:
    """Change how much is logged from now on."""
    logging.getLogger().setLevel(level.upper())
    # Their own debug lines tell of every selector and poller and no pod.
    for chatty in ("asyncio", "grpc"):
        logging.getLogger(chatty).setLevel(max(logging.INFO, logging.getLogger().level))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _lost_line(count: int) -> str:
    now = _time(datetime.now(UTC).timestamp())
    text = "log lines were dropped, for standard error was not read"
    return lines.render(lines.Line(now, "WARNING", text, {"lines": str(count)})) + "\n"
