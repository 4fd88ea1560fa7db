"""A table of another server's keys, applied to its document.

A rule names a key of theirs by its path, in which a "*" stands for any one name, and says which key of ours has the
same meaning and how the value is said here; or, why there is none.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import yaml

from criserver.config import keys
from criserver.config.schema import Config
from criserver.errors import ConfigError

Value = object
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """`theirs` and `ours` are paths; "*" in `ours` is the name that "*" stood for. Without `ours`, `why` says why not.

    `say` gives our value; None: this value needs no saying here. ValueError: it has no counterpart, and why.
    """

    theirs: Path
    ours: Path | None = None
    say: Callable[[Value], Value] = lambda value: value
    why: str = ""

    def matches(self, path: Path) -> str | None:
        """The name that "*" stands for ("" without one) when the rule is about `path`; None when it is not."""
        if len(path) != len(self.theirs):
            return None
        star = ""
        for mine, part in zip(self.theirs, path, strict=True):
            if mine == "*":
                star = part
            elif mine != part:
                return None
        return star


@dataclass(frozen=True, slots=True)
class Translation:
    """Our keys as a document, and theirs that were not taken over, each with its reason."""

    document: Mapping[str, object]
    left: tuple[str, ...]

    def text(self, source: str) -> str:
        """As YAML that this server reads, with what is missing as comments."""
        body = yaml.safe_dump(dict(self.document), sort_keys=False, allow_unicode=True) if self.document else "{}\n"
        missing = "".join(f"#   {line}\n" for line in self.left)
        return f"# Translated from {source}.\n{body}" + (f"\n# Not taken over:\n{missing}" if missing else "")


def translate(path: str, text: bytes, rules: Sequence[Rule]) -> Translation:
    """Translate the TOML `text` of the file `path`. ConfigError when it is none, or has a value of a wrong type."""
    try:
        theirs = tomllib.loads(text.decode())
    except ValueError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    document: dict[str, object] = {}
    left: list[str] = []
    for key, value in _leaves(theirs, rules):
        rule, star = _rule(rules, key)
        if rule is None:
            left.append(f"{_dotted(key)} = {_shown(value)}: there is no such key here")
        elif rule.ours is None:
            left += [f"{_dotted(key)} = {_shown(value)}: {rule.why}"] if rule.why else []
        else:
            _put(document, left, rule, star, key, value)
    try:
        keys.check(document, Config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return Translation(document, tuple(left))


def _put(document: dict[str, object], left: list[str], rule: Rule, star: str, key: Path, value: Value) -> None:
    try:
        said = rule.say(value)
    except (ValueError, TypeError, AttributeError) as error:
        left.append(f"{_dotted(key)} = {_shown(value)}: {error}")
        return
    if said is None:
        return
    *sections, name = [star if part == "*" else part for part in rule.ours or ()]
    place = document
    for section in sections:
        below = place.setdefault(section, {})
        assert isinstance(below, dict)
        place = below
    place[name] = said


def _rule(rules: Sequence[Rule], key: Path) -> tuple[Rule | None, str]:
    for rule in rules:
        if (star := rule.matches(key)) is not None:
            return rule, star
    return None, ""


def _leaves(theirs: Mapping[str, object], rules: Sequence[Rule]) -> Iterator[tuple[Path, Value]]:
    """Keys with a value that says something, below the sections that the rules speak of."""
    known = {rule.theirs[:depth] for rule in rules for depth in range(1, len(rule.theirs))}

    def walk(section: Mapping[str, object], path: Path) -> Iterator[tuple[Path, Value]]:
        for name, value in section.items():
            here = (*path, name)
            if isinstance(value, dict):
                yield from walk(value, here)
            elif value not in ("", [], {}, None, False, 0) and _within(known, path):
                yield here, value

    yield from walk(theirs, ())


def _within(known: set[Path], path: Path) -> bool:
    return not path or any(
        len(each) == len(path) and all(a in ("*", b) for a, b in zip(each, path, strict=True)) for each in known
    )


def _dotted(path: Path) -> str:
    return ".".join(f'"{part}"' if "." in part else part for part in path)


def _shown(value: Value) -> str:
    text = str(value) if isinstance(value, list | dict) else repr(value)
    return f"{text[:57]}..." if len(text) > 60 else text
