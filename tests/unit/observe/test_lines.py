import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.observe.lines import MAX_TEXT, Line, parse, render, render_block

TIME = "2026-11-24T11:20:30.123456Z"
KEYS = st.from_regex(r"[a-z][a-z_]{0,9}", fullmatch=True)


def test_a_plain_line_reads_as_it_is() -> None:
    line = Line(TIME, "INFO", "pod is ready", {"pod": "default/web", "took": "61.2ms"})
    assert render(line) == f"{TIME} INFO pod is ready pod=default/web took=61.2ms"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("x\n2026-11-24T11:20:30Z ERROR forged", r'"x\n2026-11-24T11:20:30Z ERROR forged"'),
        ("\x1b[31mred", r'"\u001b[31mred"'),
        ("left\u202eright", r'"left\u202eright"'),
        ("nul\0", r'"nul\u0000"'),
        ("\udcff", r'"\udcff"'),
        ("größe", "größe"),
    ],
)
def test_what_is_hostile_is_escaped(value: str, shown: str) -> None:
    assert render(Line(TIME, "INFO", "m", {"k": value})) == f"{TIME} INFO m k={shown}"


@given(st.text(), st.dictionaries(KEYS, st.text(), max_size=4))
def test_any_text_stays_one_line_and_reads_back(message: str, fields: dict[str, str]) -> None:
    line = Line(TIME, "WARNING", message, fields)
    text = render(line)
    assert text.isprintable()
    assert parse(text) == line


@given(st.text())
def test_any_line_parses_or_does_not(text: str) -> None:
    line = parse(text)
    assert line is None or text.startswith(line.time)


def test_a_flood_is_cut() -> None:
    text = render(Line(TIME, "INFO", "x" * (MAX_TEXT + 5)))
    assert len(text) < MAX_TEXT + 100
    assert f"({MAX_TEXT + 5} characters)" in text


@given(st.text())
def test_a_block_never_starts_a_line(text: str) -> None:
    block = render_block(text)
    assert all(line.startswith("    ") and line.isprintable() for line in block.split("\n")[1:])
    assert block == "" or block[0] == "\n"


def test_a_line_of_another_program_is_none_of_ours() -> None:
    for text in ("", "Traceback (most recent call last):", "    File x", f"{TIME} INFO a=b c", f'{TIME} INFO "open'):
        assert parse(text) is None
