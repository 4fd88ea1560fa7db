"""Who the server is and what guards containers: root, capabilities, seccomp, AppArmor, SELinux."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from criserver.config.schema import Config
from criserver.doctor.finding import Finding, error, note, ok, warning
from criserver.drivers.host.facts import SECCOMP_PROFILES
from criserver.kernel import proc
from criserver.kernel.process import PATH
from criserver.spec.capabilities import ALL


@dataclass(frozen=True, slots=True)
class SecurityFacts:
    """`lacking` are capabilities that a server started like this command would not have; `selinux` "", or its mode."""

    root: bool
    lacking: tuple[str, ...]
    seccomp: bool
    profile: str
    apparmor: bool
    apparmor_parser: bool
    selinux: str
    container_policy: bool


async def read(_: Config) -> SecurityFacts:
    """Look at this process, the kernel and the files of policies."""
    status = proc.status()
    held = int(status["CapPrm"], 16) & int(status["CapBnd"], 16)
    return SecurityFacts(
        root=os.geteuid() == 0,
        lacking=tuple(name for number, name in enumerate(ALL) if not held >> number & 1),
        seccomp="Seccomp" in status,
        profile=next((path for path in SECCOMP_PROFILES if os.path.isfile(path)), ""),
        apparmor=_text("/sys/module/apparmor/parameters/enabled") == "Y",
        apparmor_parser=shutil.which("apparmor_parser", path=PATH) is not None,
        selinux={"1": "enforcing", "0": "permissive"}.get(_text("/sys/fs/selinux/enforce"), ""),
        container_policy=os.path.isfile("/etc/selinux/targeted/contexts/lxc_contexts"),
    )


def judge(facts: SecurityFacts) -> Iterator[Finding]:
    """Findings about privileges and guards."""
    if not facts.root:
        yield error("this command does not run as root", "a server as this user cannot make a container", "use sudo")
    elif facts.lacking:
        yield note(
            f"capabilities are missing: {', '.join(facts.lacking)}",
            "containers cannot be given them, privileged ones neither; the rest works (as in a nested node)",
        )
    if not facts.seccomp:
        yield error(
            "the kernel has no seccomp", "containers that want the default profile (the kubelet's) are refused",
            "boot a kernel with CONFIG_SECCOMP_FILTER",
        )  # fmt: skip
    elif not facts.profile:
        yield note(
            f"no seccomp profile is installed ({' or '.join(SECCOMP_PROFILES)})", "the built-in one is used",
            "apt install golang-github-containers-common",
        )  # fmt: skip
    else:
        yield ok(f"seccomp profile {facts.profile}")
    yield from _modules(facts)


def _modules(facts: SecurityFacts) -> Iterator[Finding]:
    if facts.apparmor and not facts.apparmor_parser:
        yield warning(
            "AppArmor is on and apparmor_parser is missing", "the default profile cannot be loaded",
            "apt install apparmor",
        )  # fmt: skip
    elif facts.apparmor:
        yield ok("AppArmor is on")
    if facts.selinux == "enforcing" and not facts.container_policy:
        yield warning(
            "SELinux is enforcing without a policy for containers", "containers may be denied their own files",
            "install container-selinux, or setenforce 0 to look",
        )  # fmt: skip
    elif facts.selinux:
        yield ok(f"SELinux is {facts.selinux}")
    if not facts.apparmor and not facts.selinux:
        yield note("neither AppArmor nor SELinux is on", "pods that ask for a profile of theirs are refused")


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read(64).strip()
    except OSError:
        return ""
