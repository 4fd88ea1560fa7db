"""The OCI runtime spec's own JSON schema of config.json, from its Go module, which is fetched when a test needs it."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator  # type: ignore[import-untyped]
from referencing import Registry
from referencing.jsonschema import DRAFT4

MODULE = "github.com/opencontainers/runtime-spec@v1.2.1"

_ID = re.compile("[0-9a-f]{64}")


RECURSIVE = {"rslave": "slave", "rshared": "shared"}
"""Runtimes take both, the schema the second alone, which would leave what is mounted below the root as it is."""


def check(schema: Any, document: Mapping[str, Any]) -> None:
    """Assert that a document is valid."""
    # In JSON a list has no other shape than a list.
    assert not list(schema.iter_errors(_read(json.dumps(document))))


def faults(documents: Iterable[str]) -> list[str]:
    """What is wrong with texts of documents; none is looked at where the schema cannot be had.

    Those that differ in ids alone are looked at once.
    """
    different = {_ID.sub("ID", text): text for text in documents}
    try:
        schema = validator()
    except LookupError:
        return []
    found = (fault for text in different.values() for fault in schema.iter_errors(_read(text)))
    return [f"{fault.json_path}: {fault.message}" for fault in found]


def _read(text: str) -> Any:
    document = json.loads(text)
    linux = document.get("linux", {})
    if (propagation := linux.get("rootfsPropagation")) in RECURSIVE:
        linux["rootfsPropagation"] = RECURSIVE[propagation]
    return document


@functools.cache
def validator() -> Any:
    """A validator of whole documents; LookupError names what is missing."""
    go = shutil.which("go")
    if go is None:
        raise LookupError(f"go is missing: the OCI schemas come from the module {MODULE}")
    command = [go, "mod", "download", "-json", MODULE]
    # From the root, which is outside every Go module.
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LookupError(f"the Go module {MODULE} cannot be had: {done.stderr.strip() or done.stdout.strip()}")
    files = (Path(json.loads(done.stdout)["Dir"]) / "schema").glob("*.json")
    resources = [(path.name, DRAFT4.create_resource(json.loads(path.read_text()))) for path in files]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft4Validator({"$ref": "config-schema.json"}, registry=registry)
