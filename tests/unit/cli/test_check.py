"""What `criserver check` prints; what it finds is tested in tests/client/cli."""

from __future__ import annotations

from criserver.cli import check

FINDING = {
    "verdict": "missing", "what": "root mount", "owner": "default/web/main", "id": "c" * 64, "where": "", "hint": "h",
}  # fmt: skip
STRAY = FINDING | {"verdict": "left over", "owner": "c" * 13, "where": "/run/x " * 40}


def test_a_node_in_order() -> None:
    assert list(check.lines({"findings": [], "done": []})) == ["everything is in order"]
    assert list(check.lines({"findings": [], "done": ["gave back x"]})) == ["gave back x", "everything is in order"]


def test_findings_by_verdict_with_what_to_do() -> None:
    lines = list(check.lines({"findings": [STRAY, FINDING, STRAY], "done": []}))
    assert [line for line in lines if not line.startswith(" ")] == ["left over:", "missing:", "3 things are wrong"]
    assert f"  root mount of default/web/main  (id {'c' * 64})" in lines
    assert f"  root mount of {'c' * 13}" in lines, "an id is not said twice"
    assert "      → h" in lines
    assert max(map(len, lines)) <= 120
    assert list(check.lines({"findings": [FINDING], "done": []}))[-1] == "1 thing is wrong"
