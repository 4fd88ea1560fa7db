"""Our declaration of CRI v1 equals the published interface: names, numbers, types, labels and streaming.

The reference is cri-v1.json, a field-by-field listing of Kubernetes' own interface, which is not part of this project:
CRISERVER_CRI_JSON names the file, or it lies in `shared` beside the checkout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from criserver.api.pb import api_pb2

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = Path(os.environ.get("CRISERVER_CRI_JSON") or ROOT.parent / "shared" / "cri-v1.json")


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    """The published interface: {package, syntax, services, enums, messages}."""
    if not REFERENCE.is_file():
        pytest.skip(f"needs the listing cri-v1.json: {REFERENCE} is not there, CRISERVER_CRI_JSON can name it")
    listing: dict[str, Any] = json.loads(REFERENCE.read_text())
    return listing


@pytest.fixture(scope="module")
def ours() -> FileDescriptorProto:
    """Our interface, as compiled into the stubs."""
    file = FileDescriptorProto()
    api_pb2.DESCRIPTOR.CopyToProto(file)
    return file


def field_type(field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
    """The field's type in the listing's notation: `string`, `repeated Mount`, `map<string, string>`."""
    own_name = field.type_name.rsplit(".", 1)[-1]
    if own_name in maps:
        key, value = maps[own_name].field
        return f"map<{field_type(key, {})}, {field_type(value, {})}>"
    kind = own_name or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    return f"repeated {kind}" if field.label == FieldDescriptorProto.LABEL_REPEATED else kind


def listed_enums(enums: Iterable[EnumDescriptorProto]) -> dict[str, dict[str, int]]:
    """Enums in the listing's notation: {name: {value name: number}}."""
    return {enum.name: {value.name: value.number for value in enum.value} for enum in enums}


def listed_field(field: FieldDescriptorProto, message: DescriptorProto, maps: dict[str, DescriptorProto]) -> list[Any]:
    """A field in the listing's notation: [number, name, type, and its extras such as `oneof X` or `deprecated`]."""
    entry: list[Any] = [field.number, field.name, field_type(field, maps)]
    if field.HasField("oneof_index"):
        entry.append(f"oneof {message.oneof_decl[field.oneof_index].name}")
    if field.options.deprecated:
        entry.append("deprecated")
    return entry


def listed_message(message: DescriptorProto) -> dict[str, Any]:
    """A message in the listing's notation: {fields in order of number, enums and nested where there are any}."""
    maps = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
    fields = sorted(message.field, key=lambda field: field.number)
    entry: dict[str, Any] = {"fields": [listed_field(field, message, maps) for field in fields]}
    if message.enum_type:
        entry["enums"] = listed_enums(message.enum_type)
    if nested := {inner.name: listed_message(inner) for inner in message.nested_type if inner.name not in maps}:
        entry["nested"] = nested
    return entry


def in_number_order(message: dict[str, Any]) -> dict[str, Any]:
    """A message of the listing with its fields sorted by number: the order of declaration means nothing."""
    nested = {name: in_number_order(inner) for name, inner in message.get("nested", {}).items()}
    return message | {"fields": sorted(message["fields"])} | ({"nested": nested} if nested else {})


def test_package_and_syntax(ours: FileDescriptorProto, reference: dict[str, Any]) -> None:
    assert (ours.package, ours.syntax) == (reference["package"], reference["syntax"])


def test_services_have_the_same_methods_messages_and_streams(
    ours: FileDescriptorProto, reference: dict[str, Any]
) -> None:
    services: dict[str, dict[str, list[str]]] = {}
    for service in ours.service:
        methods = services.setdefault(service.name, {})
        for method in service.method:
            signature = [method.input_type.rsplit(".", 1)[-1], method.output_type.rsplit(".", 1)[-1]]
            streams = ["client stream"] * method.client_streaming + ["server stream"] * method.server_streaming
            methods[method.name] = signature + streams
    assert services == reference["services"]


def test_enums_have_the_same_values(ours: FileDescriptorProto, reference: dict[str, Any]) -> None:
    assert listed_enums(ours.enum_type) == reference["enums"]


def test_messages_have_the_same_fields(ours: FileDescriptorProto, reference: dict[str, Any]) -> None:
    messages = {message.name: listed_message(message) for message in ours.message_type}
    assert messages == {name: in_number_order(message) for name, message in reference["messages"].items()}


def test_every_secret_field_is_marked_for_redaction() -> None:
    fields = api_pb2.AuthConfig.DESCRIPTOR.fields
    secret = {field.name for field in fields if field.GetOptions().debug_redact}
    assert secret == {"password", "auth", "identity_token", "registry_token"}
