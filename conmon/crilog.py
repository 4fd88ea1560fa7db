"""The CRI log format, from bytes of one stream to bytes of the file. Pure.

Format (Kubernetes, kuberuntime log parser): ``RFC3339Nano stream F|P content\\n``. ``P`` marks a piece whose line
goes on in the next one, ``F`` the piece that ends a line. A piece holds at most PIECE bytes, as with the other CRI
servers. Text after the last newline waits for its newline; ``flush`` gives it out early, and ``finish`` ends it with
``F`` at the end of the stream, as the other servers do, so that ``kubectl logs`` ends with a newline.

Speed is the point of the shape: one timestamp for each chunk, and work per line only inside ``bytes.replace``.
"""

from __future__ import annotations

PIECE = 16 * 1024
#: Seconds for which text waits for its newline: a prompt is to be seen at once, a line written in pieces to stay whole.
PARTIAL_AFTER = 0.05
#: Seconds without output after which memory that a burst of output took goes back to the kernel.
QUIET_AFTER = 1.0

Buffers = list[bytes | memoryview]


def stamp(now_ns: int, tag: bytes) -> bytes:
    """*now_ns* (nanoseconds since the epoch) as RFC 3339 in UTC with nine digits, then *tag*.

    By plain arithmetic, since every dozing monitor calls this: ``time.gmtime`` and ``strftime`` dirty 60 KiB of its
    memory. Days are counted in the proleptic Gregorian calendar from 1 March of the year 0, so that the leap day
    comes last.
    """
    second = now_ns // 1_000_000_000
    nanosecond = now_ns - second * 1_000_000_000
    days = second // 86400
    second -= days * 86400
    era = (days + 719468) // 146097
    day = days + 719468 - era * 146097
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    month += 3 if month < 10 else -9
    year += era * 400 + (month <= 2)
    return b"%04d-%02d-%02dT%02d:%02d:%02d.%09dZ%b" % (
        (year, month, day, second // 3600, second // 60 % 60, second % 60, nanosecond, tag)
    )


class Formatter:
    """One stream of one container (``stdout`` or ``stderr``): remembers the text whose newline has not come yet."""

    def __init__(self, stream: str) -> None:
        self._tag = b" " + stream.encode() + b" "
        #: Text that waits for its newline, at most PIECE bytes, and when it began to (nanoseconds since the epoch).
        self.pending, self.since = b"", 0
        self._open = False  # the last piece written was P: an F must follow

    def resume(self, pending: bytes, since_ns: int, split: bool) -> None:
        """Go on where another formatter of this stream stopped; *split*: the last piece that it gave out was a P."""
        self.pending, self.since, self._open = pending, since_ns, split

    def feed(self, data: bytes, now_ns: int) -> Buffers:
        """Buffers to write, in order, for *data* that came in at *now_ns*."""
        prefix = stamp(now_ns, self._tag)
        full = prefix + b"F "
        out: Buffers = []
        start, end = 0, data.rfind(b"\n") + 1
        if self.pending and end:
            # The line that began in an earlier chunk is finished first, so that the rest needs no copy.
            start = data.index(b"\n") + 1
            line, self.pending = self.pending + data[:start], b""
            self._line(line, 0, len(line), prefix, out)
        while start < end:
            stop = _short_lines(data, start, end)
            if stop > start:
                whole = start == 0 and stop == len(data)
                lines = (data if whole else data[start:stop]).replace(b"\n", b"\n" + full)
                out += (full, memoryview(lines)[: len(lines) - len(full)])
                self._open = False
            if stop < end:
                start = data.index(b"\n", stop) + 1
                self._line(data, stop, start, prefix, out)
            else:
                start = stop
        if self.pending and end < len(data):
            self._hold(self.pending + data, 0, prefix, out)
        elif end < len(data):
            self.since = now_ns
            self._hold(data, end, prefix, out)
        return out

    def flush(self, now_ns: int) -> Buffers:
        """Give out the text that waits as a ``P`` piece; nothing when there is none."""
        text, self.pending = self.pending, b""
        if not text:
            return []
        self._open = True
        return [stamp(now_ns, self._tag), b"P ", text, b"\n"]

    def finish(self, now_ns: int) -> Buffers:
        """The end of the stream: end an unfinished line with ``F``."""
        text, self.pending = self.pending, b""
        if not text and not self._open:
            return []
        self._open = False
        return [stamp(now_ns, self._tag), b"F ", text, b"\n"]

    def _line(self, data: bytes, start: int, stop: int, prefix: bytes, out: Buffers) -> None:
        """The line with its newline in *data* from *start* to *stop*, in as many pieces as it needs."""
        view = memoryview(data)
        while stop - 1 - start > PIECE:  # the newline does not count
            out += (prefix + b"P ", view[start : start + PIECE], b"\n")
            start += PIECE
        out += (prefix + b"F ", view[start:stop])
        self._open = False

    def _hold(self, data: bytes, start: int, prefix: bytes, out: Buffers) -> None:
        """The unfinished line in *data* from *start*: keep it for now, or give out one that is too long to be kept."""
        if len(data) - start <= PIECE:
            self.pending = data[start:]
            return
        view, self.pending, self._open = memoryview(data), b"", True
        while start < len(data):
            out += (prefix + b"P ", view[start : start + PIECE], b"\n")
            start += PIECE


def _short_lines(data: bytes, start: int, end: int) -> int:
    """The largest line border up to *end* (itself one) such that no line from *start* to there exceeds PIECE bytes.

    Jumps from the last newline of a window to the next window, so the cost is one memrchr per PIECE bytes.
    """
    while end - start > PIECE + 1:
        newline = data.rfind(b"\n", start, start + PIECE + 1)
        if newline < 0:
            return start
        start = newline + 1
    return end
