"""The OCI runtime spec's own JSON schema of config.json, from its Go module, which is fetched when a test needs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator  # type: ignore[import-untyped]
from referencing import Registry
from referencing.jsonschema import DRAFT4

MODULE = "github.com/opencontainers/runtime-spec@v1.2.1"


def check(schema: Any, document: Mapping[str, Any]) -> None:
    """Assert that a document is valid."""
    # In JSON a list has no other shape than a list.
    assert not list(schema.iter_errors(json.loads(json.dumps(document))))


def validator(empty: Path) -> Any:
    """A validator of whole documents; skips, naming what is missing, where the module cannot be had.

    `empty` is a directory outside every Go module.
    """
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"go is missing: the OCI schemas come from the module {MODULE}")
    command = [go, "mod", "download", "-json", MODULE]
    done = subprocess.run(command, cwd=empty, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the Go module {MODULE} cannot be had: {done.stderr.strip() or done.stdout.strip()}")
    files = (Path(json.loads(done.stdout)["Dir"]) / "schema").glob("*.json")
    resources = [(path.name, DRAFT4.create_resource(json.loads(path.read_text()))) for path in files]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft4Validator({"$ref": "config-schema.json"}, registry=registry)
