"""Plugins that are not there: an `Exec` that plays them, and shell scripts where a real process matters."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cni import Attachment, Cache, Gate, Network, Plugins
from cni.config import NetworkConfig, parse_list
from cni.errors import CniError
from cni.execute import Completed

NETNS = f"/proc/{os.getpid()}/ns/net"
ALL_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]


@dataclass(frozen=True)
class Call:
    """One execution of a plugin."""

    plugin: str
    command: str
    request: dict[str, Any]
    env: Mapping[str, str]


def ok(document: Mapping[str, Any] | None = None) -> Completed:
    """A plugin that succeeded and printed `document`."""
    return Completed(0, json.dumps(document).encode() if document is not None else b"")


def failed(code: int, msg: str = "no", details: str = "") -> Completed:
    """A plugin that printed an error structure."""
    return Completed(1, json.dumps({"code": code, "msg": msg, "details": details}).encode())


@dataclass
class FakePlugins:
    """An `Exec` that answers as told by `answers[plugin, command]`, by default well, and remembers its calls."""

    answers: dict[tuple[str, str], Completed | Callable[[Call], Any]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    versions: dict[str, list[str]] = field(default_factory=dict)

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: bytes,
        timeout: float,
    ) -> Completed:
        call = Call(os.path.basename(argv[0]), env["CNI_COMMAND"], json.loads(stdin), env)
        if call.command == "VERSION":
            return ok({"supportedVersions": self.versions.get(call.plugin, ALL_VERSIONS)})
        self.calls.append(call)
        answer = self.answers.get((call.plugin, call.command), _usual)
        if isinstance(answer, Completed):
            return answer
        given = answer(call)
        return given if isinstance(given, Completed) else await given

    def told(self) -> list[tuple[str, str]]:
        """What was called, in order."""
        return [(call.plugin, call.command) for call in self.calls]


def _usual(call: Call) -> Completed:
    if call.command != "ADD":
        return ok()
    passed: dict[str, Any] = call.request.get("prevResult", {"ips": [{"address": "10.1.0.2/24"}]})
    return ok({**passed, "cniVersion": call.request["cniVersion"]})


def caught(work: Callable[[], object]) -> CniError | None:
    """Do `work` and return the CniError that it raised, None when it went well; anything else fails the test."""
    try:
        work()
    except CniError as error:
        return error
    return None


def conflist(name: str = "net", *types: str, **more: object) -> NetworkConfig:
    """A configuration of plugins that declare portMappings."""
    plugins = [{"type": kind, "capabilities": {"portMappings": True}} for kind in types or ("one", "two")]
    document = {"cniVersion": "1.0.0", "name": name, "plugins": plugins} | more
    return parse_list(json.dumps(document).encode())


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    """A plugin directory with the programs `one` and `two`, which nobody runs."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("one", "two"):
        (directory / name).touch(0o755)
    return directory


@dataclass(frozen=True)
class Bench:
    """A network of fake plugins, and all that belongs to it."""

    bin_dir: Path
    fake: FakePlugins
    plugins: Plugins
    cache: Cache
    gate: Gate

    def network(self, config: NetworkConfig | None = None) -> Network:
        """A network that shares this bench."""
        return Network(config or conflist(), self.plugins, self.cache, self.gate)


@pytest.fixture
def bench(tmp_path: Path, bin_dir: Path) -> Bench:
    """Fake plugins, a cache in the test's own directory, a gate."""
    fake = FakePlugins()
    plugins = Plugins([str(bin_dir)], execute=fake)
    return Bench(bin_dir, fake, plugins, Cache(str(tmp_path / "cache")), Gate())


def attachment(**more: Any) -> Attachment:
    """An attachment of container c1 to this process's own network namespace, which is certainly alive."""
    return Attachment(**({"container_id": "c1", "netns": NETNS} | more))
