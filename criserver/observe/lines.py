"""The format of a log line, written and read; pure.

    2026-11-24T11:20:30.123456Z INFO pod is ready pod=default/web sandbox_id=6f1c… took=61.2ms
    2026-11-24T11:20:31.004711Z WARNING "image \\"x\\"\\nis odd" image="a b"

Time (UTC), level, message, then key=value pairs. A message or value that holds anything which could be taken for
another part of the line (a quote, an equals sign or, in a value, a space) or that cannot be printed is written as a
JSON string: no name that came from a pod, image or plugin can start a line, forge a field or steer a terminal. Lines of
a traceback follow their line, each after four spaces, which no line begins with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_TEXT = 8192  # characters of one message or value: runc's own words fit, a flood does not

_STRING = r'"(?:[^"\\]|\\.)*"'
_FIELD = re.compile(rf' (\w[\w.]*)=({_STRING}|[^\s"=]*)')
_LINE = re.compile(rf'(\d{{4}}-\d\d-\d\dT\S+Z) ([A-Z]+) ({_STRING}|[^"=]*?)((?:{_FIELD.pattern})*)$')


@dataclass(frozen=True, slots=True)
class Line:
    """A log line in its parts; `time` is RFC 3339 in UTC."""

    time: str
    level: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)


def render(line: Line) -> str:
    """The line as text, without its newline."""
    pairs = "".join(f" {name}={_escaped(value, spaces=False)}" for name, value in line.fields.items())
    return f"{line.time} {line.level} {_escaped(line.message, spaces=True)}{pairs}"


def render_block(text: str) -> str:
    """Lines that belong to the line before (a traceback), each indented and made printable."""
    return "".join(f"\n    {_printable(line)}" for line in text.splitlines())


def parse(text: str) -> Line | None:
    """The parts of one line without its newline; None for one that is not of this format."""
    match = _LINE.match(text)
    if match is None:
        return None
    time, level, message, pairs = match.group(1, 2, 3, 4)
    fields = {found.group(1): _unescaped(found.group(2)) for found in _FIELD.finditer(pairs)}
    return Line(time, level, _unescaped(message), fields)


def _escaped(text: str, *, spaces: bool) -> str:
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}… ({len(text)} characters)"
    plain = text.isprintable() and '"' not in text and "=" not in text and text.strip() == text
    if plain and (spaces or (text and " " not in text)):
        return text
    return f'"{_printable(json.dumps(text, ensure_ascii=False)[1:-1])}"'


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _unescaped(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text
