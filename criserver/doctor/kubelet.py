"""The kubelet on this host: does its configuration fit this server and this host?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from criserver.config.schema import CgroupDriver, Config
from criserver.doctor.finding import Finding, note, ok, warning
from criserver.kernel import cgroupfs

DEFAULT_FILE = "/var/lib/kubelet/config.yaml"
LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class KubeletFacts:
    """`pid` of a running kubelet (0: none), its flags, its KubeletConfiguration; what this server and host are."""

    listen: str
    driver: CgroupDriver
    systemd: bool
    v1: bool
    swap: bool
    pid: int = 0
    flags: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    trouble: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """Where it looks for its runtime: the flag, or the file (KubeletConfiguration v1beta1)."""
        flag = self.flags.get("container-runtime-endpoint")
        return str(flag or self.configuration.get("containerRuntimeEndpoint") or "")


async def read(config: Config) -> KubeletFacts:
    """Look for a process, its flags and its file."""
    pid, argv = _process()
    flags = parse_flags(argv)
    file = flags.get("config") or (DEFAULT_FILE if os.path.isfile(DEFAULT_FILE) else "")
    configuration, trouble = _document(f"/proc/{pid}/root{file}" if pid and file else file)
    return KubeletFacts(
        listen=config.listen,
        driver=config.runtime.cgroup_driver,
        systemd=os.path.isdir("/run/systemd/system"),
        v1=any(each.version == 1 for each in cgroupfs.hierarchies()),
        swap=_swap(),
        pid=pid,
        flags=flags,
        file=file,
        trouble=trouble,
        configuration=configuration,
    )


def judge(facts: KubeletFacts) -> Iterator[Finding]:
    """Findings about the kubelet."""
    if not facts.pid and not facts.file:
        yield note("no kubelet on this host", "pods come by crictl alone")
        return
    if facts.trouble:
        yield warning(f"{facts.file}: {facts.trouble}", "the kubelet does not start", "mend the file")
        return
    yield from _endpoint(facts)
    wanted = str(facts.configuration.get("cgroupDriver", ""))
    if facts.driver is not CgroupDriver.AUTO and wanted and wanted != facts.driver:
        yield warning(
            f"the kubelet's cgroupDriver is {wanted}, runtime.cgroup_driver is {facts.driver}",
            "kubelets from 1.28 on ask the server and follow; an older one makes pods that do not start",
            f"set cgroupDriver: {facts.driver} in {facts.file}",
        )
    if facts.v1 and facts.configuration.get("failCgroupV1", True):
        yield warning(
            "this host has cgroup v1 and the kubelet's failCgroupV1 is not false",
            "kubelets from 1.35 on do not start", f"set failCgroupV1: false in {facts.file}, or boot with cgroup v2",
        )  # fmt: skip
    if facts.swap and facts.configuration.get("failSwapOn", True):
        yield warning(
            "swap is on and the kubelet's failSwapOn is not false", "the kubelet does not start",
            f"swapoff -a, or failSwapOn: false in {facts.file}",
        )  # fmt: skip


def _endpoint(facts: KubeletFacts) -> Iterator[Finding]:
    path = facts.endpoint.removeprefix("unix://").replace("/var/run/", "/run/")
    if path == facts.listen.removeprefix("unix://").replace("/var/run/", "/run/"):
        yield ok(f"the kubelet points at {facts.listen}")
        return
    yield warning(
        f"the kubelet points at {facts.endpoint or 'its default'}, not at {facts.listen}",
        "its pods run with another server",
        f"set containerRuntimeEndpoint: {facts.listen} in {facts.file or DEFAULT_FILE} and restart the kubelet",
    )


def parse_flags(argv: Sequence[str]) -> dict[str, str]:
    """--name=value and --name value; a flag without a value is "true" (pflag)."""
    flags: dict[str, str] = {}
    for place, word in enumerate(argv):
        if not word.startswith("--"):
            continue
        name, given, value = word[2:].partition("=")
        following = argv[place + 1] if place + 1 < len(argv) else "--"
        flags[name] = value if given else ("true" if following.startswith("--") else following)
    return flags


def _process() -> tuple[int, tuple[str, ...]]:
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                argv = tuple(file.read(1 << 16).split("\0"))
        except (OSError, UnicodeDecodeError):
            continue
        if os.path.basename(argv[0]) == "kubelet":
            return int(pid), argv[1:]
    return 0, ()


def _document(path: str) -> tuple[Mapping[str, Any], str]:
    if not path:
        return {}, ""
    try:
        with open(path) as file:
            document = yaml.safe_load(file.read(LIMIT))
    except (OSError, ValueError, yaml.YAMLError) as problem:
        return {}, str(problem).replace("\n", " ")
    return (document, "") if isinstance(document, dict) else ({}, "is no KubeletConfiguration")


def _swap() -> bool:
    with open("/proc/swaps") as file:
        return len(file.readlines()) > 1
