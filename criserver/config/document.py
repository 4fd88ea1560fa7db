"""One YAML file as plain data: bounded, without duplicate keys. Knows YAML, not what the keys mean."""

from __future__ import annotations

import os
import stat
from collections.abc import Hashable

import yaml
from yaml.constructor import ConstructorError

from criserver.errors import ConfigError

MAX_BYTES = 1 << 20  # a configuration is a few KiB; this stops a mistaken path from filling the memory


def read(path: str) -> dict[str, object]:
    """The mapping in the YAML file `path`, empty for an empty file; ConfigError names the file, line and fault."""
    try:
        document = yaml.load(read_bounded(path), Loader=_Loader)  # noqa: TID251 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {_fault(error)}") from error
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not a YAML document that this server reads: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a mapping of keys to values, not {type(document).__name__}")
    return document


def read_bounded(path: str) -> bytes:
    """The bytes of a regular file of at most MAX_BYTES; ConfigError otherwise."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(f"{path}: must be a regular file")
        data = os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_BYTES} bytes")
    return data


def _fault(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error).replace("\n", " ")


class _Loader(yaml.SafeLoader):
    """SafeLoader whose mappings have string keys, each once.

    YAML 1.2 forbids a key given twice, where PyYAML would let the last one win unseen.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        """The mapping of `node`; ConstructorError at a key that is given twice or is no string."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise ConstructorError(None, None, "a key must be a string (quote it)", key.start_mark)
            if key.value in seen:
                raise ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
