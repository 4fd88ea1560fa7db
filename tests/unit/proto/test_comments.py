"""Every name of the interface is explained where it is declared, since api.proto is what an integrator reads first."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "proto" / "cri" / "runtime" / "v1"
# What can carry a comment, by the name of the list it stands in (descriptor.proto).
COMMENTED = {"service", "method", "message_type", "nested_type", "field", "enum_type", "value", "oneof_decl"}


@pytest.fixture(scope="module")
def interface(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorProto:
    """The compiled interface with the source's comments, which the stubs leave out."""
    if importlib.util.find_spec("grpc_tools") is None:
        pytest.skip("needs grpcio-tools, whose protoc reads the comments of api.proto")
    out = tmp_path_factory.mktemp("proto") / "api.pb"
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={SOURCES}", f"--descriptor_set_out={out}"]
    subprocess.run([*protoc, "--include_source_info", "api.proto"], check=True, timeout=60)
    return FileDescriptorSet.FromString(out.read_bytes()).file[0]


def declared(entity: Any, path: tuple[int, ...] = (), name: str = "") -> Iterator[tuple[tuple[int, ...], str]]:
    """(path in the descriptor, dotted name) of everything declared below `entity`; entries of maps are left out."""
    for part, children in entity.ListFields():
        if part.name not in COMMENTED:
            continue
        for index, child in enumerate(children):
            if part.name == "nested_type" and child.options.map_entry:
                continue
            child_path, child_name = (*path, part.number, index), f"{name}.{child.name}".lstrip(".")
            yield child_path, child_name
            yield from declared(child, child_path, child_name)


def comments(interface: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """The comment of each declared thing, by its path in the descriptor."""
    places = interface.source_code_info.location
    return {tuple(place.path): (place.leading_comments or place.trailing_comments).strip() for place in places}


def test_every_declaration_has_a_comment(interface: FileDescriptorProto) -> None:
    said = comments(interface)
    names = dict(declared(interface))
    assert len(names) > 700, "the walk over the interface misses declarations"
    assert [name for path, name in names.items() if not said.get(path)] == []


def test_comments_are_sentences(interface: FileDescriptorProto) -> None:
    said = comments(interface)
    odd = [name for path, name in declared(interface) if not said.get(path, "").endswith((".", '."', ".)"))]
    assert odd == [], "a comment ends with a full stop"


def test_comments_fit_in_the_width_of_the_file() -> None:
    lines = (SOURCES / "api.proto").read_text().splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > 100] == []
