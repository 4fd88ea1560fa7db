"""Kernel settings (sysctl(8)) that pods, their network and the kubelet count on: one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from criserver.config.schema import Config
from criserver.doctor.finding import Finding, Severity, note, ok


@dataclass(frozen=True, slots=True)
class Setting:
    """One sysctl: at least (`minimum`) what it must be, how much it matters, and what goes wrong below it."""

    name: str
    minimum: int
    severity: Severity
    meaning: str


SETTINGS = (
    Setting(
        "net.ipv4.ip_forward", 1, Severity.WARNING,
        "nothing is routed between pods, nodes and the world; kubeadm's preflight refuses the node",
    ),
    Setting(
        "net.bridge.bridge-nf-call-iptables", 1, Severity.NOTE,
        "Services (kube-proxy) are not reached by pods on the same bridge",
    ),
    Setting("user.max_user_namespaces", 1, Severity.NOTE, "pods with hostUsers: false cannot run"),
    Setting(
        "fs.inotify.max_user_instances", 512, Severity.NOTE,
        "on a full node kubectl logs -f and ConfigMap reloads fail with 'too many open files'",
    ),
    Setting("fs.inotify.max_user_watches", 65536, Severity.NOTE, "on a full node programs that watch files fail"),
    Setting("kernel.pid_max", 32768, Severity.WARNING, "a full node runs out of process ids"),
)  # fmt: skip


async def read(_: Config) -> Mapping[str, int | None]:
    """The value of each setting; None where the kernel (or a module that is not loaded) has none."""
    return {setting.name: _value(setting.name) for setting in SETTINGS}


def judge(values: Mapping[str, int | None]) -> Iterator[Finding]:
    """Findings about each of SETTINGS."""
    for setting in SETTINGS:
        value = values[setting.name]
        if value is None:
            yield from _ABSENT.get(setting.name, _silent)(setting)
        elif value < setting.minimum:
            yield Finding(
                setting.severity, f"{setting.name} is {value}, below {setting.minimum}", setting.meaning, _fix(setting)
            )
        else:
            yield ok(f"{setting.name} is {value}")


def _fix(setting: Setting) -> str:
    wanted = f"{setting.name}={setting.minimum}"
    return f"sysctl -w {wanted}; echo {wanted} >> /etc/sysctl.d/90-criserver.conf"


def _without_module(setting: Setting) -> Iterator[Finding]:
    yield note(
        f"{setting.name} is not there: br_netfilter is not loaded", setting.meaning,
        f"modprobe br_netfilter; echo br_netfilter > /etc/modules-load.d/criserver.conf; {_fix(setting)}",
    )  # fmt: skip


def _silent(_: Setting) -> Iterator[Finding]:
    return iter(())


_ABSENT: Mapping[str, Callable[[Setting], Iterator[Finding]]] = {"net.bridge.bridge-nf-call-iptables": _without_module}


def _value(name: str) -> int | None:
    try:
        with open(f"/proc/sys/{name.replace('.', '/')}") as file:
            return int(file.read(64))
    except (OSError, ValueError):
        return None
