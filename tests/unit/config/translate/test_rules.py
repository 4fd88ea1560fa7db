"""A table of keys, applied."""

from __future__ import annotations

import pytest

from criserver.config.translate.rules import Rule, translate
from criserver.errors import ConfigError


def number(value: object) -> object:
    if not isinstance(value, int):
        raise ValueError("is no number")
    return value or None


RULES = (
    Rule(("a", "dir"), ("network", "conf_dir")),
    Rule(("a", "port"), ("streaming", "port"), number),
    Rule(("h", "*", "bin"), ("runtime", "handlers", "*", "path")),
    Rule(("a", "pause"), why="there is none"),
    Rule(("a", "usual"), why=""),
)


def lines(text: str) -> list[str]:
    return translate("t.toml", text.encode(), RULES).text("t.toml").splitlines()


def test_keys_with_a_counterpart() -> None:
    assert lines('[a]\ndir = "/n"\nport = 7\n[h.kata]\nbin = "/k"\n') == [
        "# Translated from t.toml.",
        "network:", "  conf_dir: /n",
        "streaming:", "  port: 7",
        "runtime:", "  handlers:", "    kata:", "      path: /k",
    ]  # fmt: skip


def test_keys_without_one_are_named() -> None:
    assert lines('[a]\npause = "p"\nusual = 3\nother = ["x"]\nport = "y"\n') == [
        "# Translated from t.toml.",
        "{}",
        "",
        "# Not taken over:",
        "#   a.pause = 'p': there is none",
        "#   a.other = ['x']: there is no such key here",
        "#   a.port = 'y': is no number",
    ]


def test_what_says_nothing_or_is_of_another_part_is_passed_over() -> None:
    assert lines('[a]\nother = ""\nmore = []\n[elsewhere]\nx = 1\n') == ["# Translated from t.toml.", "{}"]


def test_a_value_of_a_wrong_type() -> None:
    with pytest.raises(ConfigError, match=r"t.toml: network.conf_dir must be a string, not 7"):
        translate("t.toml", b"[a]\ndir = 7\n", RULES)


@pytest.mark.parametrize("text", [b"[a", b"\xff"])
def test_no_toml(text: bytes) -> None:
    with pytest.raises(ConfigError, match=r"t.toml: not TOML"):
        translate("t.toml", text, RULES)
