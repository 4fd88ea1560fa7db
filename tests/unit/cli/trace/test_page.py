"""The page: whole, self-contained, and nobody's script."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from criserver.cli.trace.page import page
from criserver.cli.trace.pod import pods
from criserver.cli.trace.style import STYLE
from tests.unit.cli.trace.kit import FAILED, ID, RUNS, WHOLE

VOID = {"meta"}


class Tree(HTMLParser):
    """Checks that every element is closed in order; collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(answer: dict[str, object]) -> Tree:
    tree = Tree()
    tree.feed(page(pods(answer)[0]))
    tree.close()
    assert tree.open == []
    return tree


@pytest.mark.parametrize("answer", [WHOLE, RUNS, FAILED])
def test_it_is_well_formed_and_needs_nothing_else(answer: dict[str, object]) -> None:
    tree = parsed(answer)
    assert not {"script", "link", "img", "iframe", "b>web<"} & {tag for tag, _ in tree.tags}
    for _, attributes in tree.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in STYLE and "@import" not in STYLE


def test_names_of_pods_are_text() -> None:
    text = "".join(parsed(WHOLE).text)
    assert "How shop/<b>web</b> came to be" in text
    assert "<i>nginx" in text


def test_it_tells_each_stage_what_was_asked_and_what_came_of_it() -> None:
    text = "".join(parsed(WHOLE).text)
    for words in (
        "unshare(2)", "mount --bind /ns /run/0123456789ab…/net", "→ eth0 has 10.0.0.5/24", '"gateway": "10.0.0.1"',
        "Ran beside network.", "127.0.0.1 localhost", "runc create 0123456789ab…", '"CAP_KILL"', "init is pid 7",
        "and 2 more", "150 ms",
    ):  # fmt: skip
        assert words in text, words
    assert any(attributes.get("title") == f"runc create {ID}" for _, attributes in parsed(WHOLE).tags)


def test_bars_begin_where_their_stages_did() -> None:
    styles = [attributes["style"] or "" for _, attributes in parsed(WHOLE).tags if attributes.get("class") == "bar"]
    places = [tuple(map(float, re.findall(r"[\d.]+", style))) for style in styles]
    assert places[:3] == [(0.0, 10.0), (12.0, 4.0), (10.0, 90.0)]


def test_what_runs_and_what_failed_is_marked_and_open() -> None:
    assert "still runs" in "".join(parsed(RUNS).text)
    stages = [attributes for tag, attributes in parsed(RUNS).tags if tag == "details"]
    assert "open" in stages[1] and "runs" in (stages[1]["class"] or "")
    failed = parsed(FAILED)
    assert "no [bold]address[/]" in "".join(failed.text)
    assert "failed" in str([attributes.get("class") for tag, attributes in failed.tags if tag == "details"])
