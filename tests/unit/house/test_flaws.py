"""Published flaws that concern containers: each has a test that bears its id."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]

FLAWS = """
    2026-15809 2025-4437 2025-0750 2024-8676 2024-5154 2024-3154 2023-6476 2022-4318 2022-2995 2022-1708 2022-0811
    2022-0532 2022-27652 2019-14891 2026-53488 2026-47262 2026-46680 2024-25621 2024-40635 2023-25173 2022-31030
    2022-24769 2022-23648 2021-43816 2021-41103 2021-21334 2020-15257 2026-24054 2026-41579 2025-31133 2025-52565
    2025-52881 2024-45310 2024-21626 2023-25809 2023-27561 2023-28642 2019-19921 2022-29162 2021-43784 2021-30465
    2019-16884 2019-11245 2019-5736 2024-9676 2026-55686 2023-2431 2025-47291 7ww5-4wqc g54h-m393
"""
"""CVEs, and GHSAs by the first half of their names: of CRI servers, and of runtimes as far as a server can prevent."""


def words_in_names() -> set[str]:
    """Every pair of words in the names of tests that name a flaw."""
    found: set[str] = set()
    for path in (*TESTS.glob("client/**/*.py"), *TESTS.glob("root/**/*.py"), *TESTS.glob("unit/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and re.search("cve|ghsa", node.name):
                words = node.name.split("_")
                found.update(f"{one}-{other}" for one, other in itertools.pairwise(words))
    return found


def test_each_has_a_test_of_its_name() -> None:
    assert sorted(set(FLAWS.split()) - words_in_names()) == []
