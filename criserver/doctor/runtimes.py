"""The OCI runtimes that the configuration names: there, of which version, and able to do what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from criserver.config.schema import Config
from criserver.doctor.finding import Finding, Severity, error, note, ok
from criserver.drivers.runtime import words as runtime_words
from criserver.errors import CriError
from criserver.kernel import process

OLDEST: Mapping[str, tuple[int, ...]] = {"runc": (1, 1), "crun": (1, 0)}
STEADFAST = (1, 1, 14)
"""runc makes the places of mounts without following links that are swapped meanwhile (CVE-2024-45310)."""
IDMAPPED: Mapping[str, tuple[int, ...]] = {"runc": (1, 2), "crun": (1, 8, 1)}


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """A handler: its binary ("": not found), its version ("": it does not tell), and what its program said instead."""

    name: str
    kind: str
    path: str
    version: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Handlers:
    """Every handler of the configuration, and the name of the default one, which may be "auto"."""

    default: str
    handlers: tuple[RuntimeFacts, ...]


async def read(config: Config) -> Handlers:
    """Run each handler's binary with --version."""
    handlers = config.runtime.handlers.items()
    found = [await _look(name, str(each.type), each.path or name) for name, each in handlers]
    return Handlers(config.runtime.default_handler, tuple(found))


def judge(facts: Handlers) -> Iterator[Finding]:
    """Findings about the handlers."""
    for each in facts.handlers:
        if each.version:
            yield from _version(each)
    usable = [each.name for each in facts.handlers if each.version]
    needed = facts.default != "auto"
    for each in facts.handlers:
        if not each.version and (each.name == facts.default or not usable):
            yield error(
                f"{each.name} cannot be used: {each.trouble}",
                "no pod can run" if not usable or needed else "pods that name it cannot run",
                f"apt install {each.kind}; or set runtime.handlers.{each.name}.path",
            )
        elif not each.version:
            yield note(f"{each.name} cannot be used: {each.trouble}", "pods that ask for that handler are refused")


def _version(each: RuntimeFacts) -> Iterator[Finding]:
    number = parse_version(each.version)
    if number < OLDEST[each.kind]:
        yield Finding(
            Severity.WARNING,
            f"{each.name} {each.version} ({each.path}) is older than {'.'.join(map(str, OLDEST[each.kind]))}",
            "it lacks fixes for cgroup v2 and for breakouts, and does not tell its features",
            f"install a current {each.kind} (apt install {each.kind}) and set runtime.handlers.{each.name}.path",
        )
    else:
        yield ok(f"{each.name} {each.version} ({each.path})")
    if OLDEST[each.kind] <= number < IDMAPPED[each.kind]:
        yield note(
            f"{each.name} {each.version} has no idmapped mounts ({'.'.join(map(str, IDMAPPED[each.kind]))} has)",
            "pods with hostUsers: false need another handler",
        )
    yield from _swapped_links(each)


def _swapped_links(each: RuntimeFacts) -> Iterator[Finding]:
    if each.kind == "runc" and OLDEST["runc"] <= parse_version(each.version) < STEADFAST:
        yield note(
            f"{each.name} {each.version} follows links that another container swaps (CVE-2024-45310), unless the "
            f"distribution has mended it ({'.'.join(map(str, STEADFAST))} does not)",
            "pods that share a volume can make empty directories on the node; with crun they cannot",
        )


def parse_version(text: str) -> tuple[int, ...]:
    """The leading numbers of "1.1.5+ds1": (1, 1, 5)."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


async def _look(name: str, kind: str, wanted: str) -> RuntimeFacts:
    try:
        path = process.find_program(wanted)
        done = await process.run([path, "--version"], timeout=10)
    except CriError as problem:
        return RuntimeFacts(name, kind, "", trouble=str(problem))
    version = runtime_words.version(done.stdout) if done.returncode == 0 else ""
    return RuntimeFacts(name, kind, path, version, "" if version else done.failure)
