import logging
import os
import time
from collections.abc import Iterator

import pytest

from criserver.observe import lines, log
from criserver.observe.context import log_context


class Pipe:
    """A handler on a pipe whose other end the test reads when it likes."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.handler = log.StderrHandler(self.write_end)
        self.logger = logging.Logger("test")  # noqa: LOG001 - of this test alone
        self.logger.addHandler(self.handler)

    def text(self) -> str:
        return os.read(self.read_end, 1 << 20).decode()

    def rest(self) -> str:
        """Everything until the handler is closed and the pipe empty."""
        parts = []
        os.set_blocking(self.read_end, False)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            # Asked before reading: what an ended thread has written is there.
            writing = self.handler._thread is not None and self.handler._thread.is_alive()
            try:
                parts.append(self.text())
            except BlockingIOError:
                if not writing:
                    break
                time.sleep(0.005)
        return "".join(parts)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.read_end)  # lets a thread that still writes go
    made.handler.close()
    os.close(made.write_end)


def test_a_line_has_time_level_message_context_and_fields(pipe: Pipe) -> None:
    with log_context(pod="ns/web", container="main"):
        pipe.logger.warning("%s stopped", "init", extra={"exit_code": 7})
    line = lines.parse(pipe.text().rstrip("\n"))
    assert line is not None
    assert (line.level, line.message) == ("WARNING", "init stopped")
    assert line.fields == {"pod": "ns/web", "container": "main", "exit_code": "7"}
    assert line.time.endswith("Z")
    assert len(line.time) == len("2026-11-24T11:20:30.123456Z")


def test_a_traceback_is_indented(pipe: Pipe) -> None:
    try:
        raise ValueError("one\n2026-01-01T00:00:00Z ERROR two")
    except ValueError:
        pipe.logger.exception("failed")
    first, *trace = pipe.text().rstrip("\n").split("\n")
    assert first.endswith("ERROR failed")
    assert trace
    assert all(line.startswith("    ") for line in trace)


def test_a_wrong_log_call_does_not_raise(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    pipe.logger.info("%d", "x")
    assert "--- Logging error ---" in capsys.readouterr().err


def test_lines_come_in_order_through_the_thread(pipe: Pipe) -> None:
    pipe.handler.start()
    for number in range(100):
        pipe.logger.info("line %d", number)
    pipe.handler.close()
    assert [line.rsplit(" ", 1)[1] for line in pipe.rest().splitlines()] == [str(number) for number in range(100)]


def test_a_reader_that_has_stopped_makes_nobody_wait_and_is_told_what_it_missed(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MAX_QUEUED", 100_000)
    pipe.handler.start()
    for number in range(3000):  # some 400 KB, where pipe and queue hold about 165 KB: a blocking write would hang here
        pipe.logger.info("line %d %s", number, "x" * 100)
    pipe.handler.close()
    told = [line for text in pipe.rest().splitlines() if (line := lines.parse(text)) is not None]
    # Lines may be lost more than once, and each time it is told after those that were kept.
    losses = [int(line.fields["lines"]) for line in told if "dropped" in line.message]
    assert losses
    assert len(told) - len(losses) + sum(losses) == 3000


def test_configure_replaces_and_sets_the_level(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.level
    first = log.configure("info")
    second = log.configure("error")
    try:
        assert first not in root.handlers
        logging.getLogger("criserver.x").warning("quiet")
        logging.getLogger("criserver.x").error("loud")
        log.set_level("warning")
        logging.getLogger("criserver.x").warning("louder")
    finally:
        root.removeHandler(second)
        second.close()
        root.setLevel(before)
    assert [line.split(" ")[2] for line in capfd.readouterr().err.splitlines()] == ["loud", "louder"]


def test_a_closed_standard_error_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    handler = log.StderrHandler(write_end)
    handler.emit(logging.makeLogRecord({"msg": "x"}))
    os.close(write_end)
