"""Files of a hooks directory (oci-hooks(5), version 1.0.0), as Podman and CRI-O read them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence

import msgspec

from criserver.drivers.injections.operator_files import OperatorFile
from criserver.model.edits import STAGES, Hook, HookRule


class _Struct(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """An object of a hook file: what is not known is refused."""


class _Hook(_Struct):
    path: str
    args: list[str] = []
    env: list[str] = []
    timeout: int | None = None


class _When(_Struct):
    always: bool | None = None
    annotations: dict[str, str] = {}
    commands: list[str] = []
    has_bind_mounts: bool | None = None


class _File(_Struct):
    version: str
    hook: _Hook
    when: _When
    stages: list[str]


def rules(files: Sequence[OperatorFile]) -> tuple[tuple[HookRule, ...], str]:
    """The rules in the order of their files' names, and the first fault, "" for none.

    Of files with one name, that of the directory named later counts.
    """
    by_name = {os.path.basename(file.path): file for file in files}
    found = []
    for name in sorted(by_name, key=lambda name: (name.casefold(), name)):
        try:
            found.append(parse(by_name[name]))
        except ValueError as error:
            return (), f"hook {by_name[name].path}: {error}"
    return tuple(found), ""


def parse(file: OperatorFile) -> HookRule:
    """One file; ValueError says what is wrong with it."""
    if file.fault:
        raise ValueError(file.fault)
    try:
        given = msgspec.convert(json.loads(file.text), _File)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from error
    _check(given)
    hook, when = given.hook, given.when
    return HookRule(
        Hook(tuple(dict.fromkeys(given.stages)), hook.path, tuple(hook.args), tuple(hook.env), hook.timeout),
        always=when.always,
        has_bind_mounts=when.has_bind_mounts,
        annotations=tuple((_pattern(key), _pattern(value)) for key, value in when.annotations.items()),
        commands=tuple(map(_pattern, when.commands)),
    )


def _check(given: _File) -> None:
    if given.version != "1.0.0":
        raise ValueError(f"version {given.version!r}; known is 1.0.0")
    path = given.hook.path
    if not path.startswith("/") or not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise ValueError(f"hook.path {path!r} is no executable file with an absolute path")
    if (given.hook.timeout or 1) < 1:
        raise ValueError(f"hook.timeout {given.hook.timeout}: give at least 1 s")
    if not given.stages or set(given.stages) - set(STAGES):
        raise ValueError(f"stages {', '.join(given.stages) or 'none'}; give some of {', '.join(STAGES)}")


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error
