"""docs/fields.md has a row for every field of a request, and every row a test that exists."""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import Descriptor

from criserver.api.pb import api_pb2 as pb

ROOT = Path(__file__).resolve().parents[4]
TABLE = ROOT / "docs" / "fields.md"


def rows() -> dict[str, tuple[str, str]]:
    """Field → what it does, and the test."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TABLE.read_text().splitlines() if "|" in line]
    found = {field: (does, test) for field, does, test in cells[2:]}
    assert len(found) == len(cells) - 2, "a field has two rows"
    return found


def fields(message: Descriptor, seen: set[str]) -> Iterator[str]:
    """Every field of a message and of those in it; what is Windows' is told as a whole by its `windows` field."""
    if message.name in seen or message.name.startswith("Windows") or message.GetOptions().map_entry:
        return
    seen.add(message.name)
    for field in message.fields:
        yield f"{message.name}.{field.name}"
        if field.message_type is not None:
            yield from fields(field.message_type, seen)


def test_every_field_has_a_row_and_every_row_a_field() -> None:
    seen: set[str] = set()
    wanted = {*fields(pb.PodSandboxConfig.DESCRIPTOR, seen), *fields(pb.ContainerConfig.DESCRIPTOR, seen)}
    assert len(wanted) > 100
    assert rows().keys() == wanted


def test_rows_say_something() -> None:
    assert not [field for field, (does, _) in rows().items() if len(does) < 4]


def test_every_proof_exists() -> None:
    missing = []
    for field, (_, proof) in rows().items():
        file, _, name = proof.partition("::")
        path = ROOT / "tests" / file
        if not path.exists() or f"def {name}(" not in path.read_text():
            missing.append(f"{field}: {proof}")
    assert not missing


def test_rows_are_sorted() -> None:
    assert list(rows()) == sorted(rows())
