"""AppArmor on this host: the profile of containers that ask for RuntimeDefault or for none, and what is loaded.

The profile is this server's own, loaded at its start into the kernel, where it stays: containers outlive the server. It
lets a container do what its capabilities and mounts allow but for what would reach the host through /proc and /sys, and
mounting, which could uncover it. Sources: apparmor.d(5), apparmor_parser(8).
"""

from __future__ import annotations

import logging

from criserver.errors import CriError
from criserver.kernel import process

DEFAULT = "criserver-default"

_ENABLED = "/sys/module/apparmor/parameters/enabled"
_LOADED = "/sys/kernel/security/apparmor/profiles"
_LIMIT = 4 << 20  # bytes: tens of thousands of profiles
_PARSER = ("apparmor_parser", "--replace", "--skip-cache")
_TIMEOUT = 60.0  # seconds; parsers are slow on small machines

log = logging.getLogger(__name__)


# What of /proc and /sys is the whole host's; cgroups and what a namespace has of its own are not in here.
_PROC = (
    "acpi,asound,bus,config.gz,fs,irq,kcore,kallsyms,keys,kmsg,latency_stats,mtrr,sched_debug,scsi,slabinfo,"
    "sysrq-trigger,timer_list,timer_stats"
)
_SYSCTL = (
    "abi,debug,dev,vm,fs/[^m]*,"
    "kernel/{core*,hotplug,kexec*,keys,kptr*,modprobe,modules*,panic*,perf*,printk*,randomize*,sysrq,tainted,"
    "unprivileged*,usermodehelper,yama}"
)
_SYS = (
    "block,bus,class,dev,devices,firmware,hypervisor,kernel,module,power,"
    "fs/{bpf,btrfs,ecryptfs,ext4,f2fs,fuse,pstore,resctrl,selinux,smackfs,xfs}"
)


def profile(name: str = DEFAULT) -> str:
    """The text of the default profile.

    Files: all but what is the whole host's. Signals and ptrace: within the profile; signals also from whoever is
    unconfined, as the server, its monitors and runtimes are, and from runtimes that a distribution confines.
    """
    return f"""#include <tunables/global>

profile {name} flags=(attach_disconnected,mediate_deleted) {{
  #include <abstractions/base>

  network,
  capability,
  file,
  umount,
  deny mount,

  signal (receive) peer=unconfined,
  signal (receive) peer=runc,
  signal (receive) peer=crun,
  signal (send,receive) peer={name},
  ptrace (trace,read,tracedby,readby) peer={name},

  deny @{{PROC}}/{{{_PROC}}} wklx,
  deny @{{PROC}}/{{{_PROC}}}/** wklx,
  deny @{{PROC}}/sys/{{{_SYSCTL}}} wklx,
  deny @{{PROC}}/sys/{{{_SYSCTL}}}/** wklx,
  deny @{{PROC}}/kcore rwklx,
  deny @{{PROC}}/sysrq-trigger rwklx,

  deny /sys/{{{_SYS}}}/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
}}
"""


def enabled() -> bool:
    """Whether the kernel has AppArmor and it is on."""
    return _read(_ENABLED, 8).strip() == "Y"


def loaded() -> frozenset[str] | None:
    """Names of the profiles that the kernel knows now; None where AppArmor is not on."""
    if not enabled():
        return None
    return frozenset(line.rsplit(" (", 1)[0] for line in _read(_LOADED, _LIMIT).splitlines())


async def load_default() -> None:
    """Load the default profile, anew when there is one already: it may be an older version's.

    Where that cannot be done the log says why; containers that ask for RuntimeDefault are refused then.
    """
    if not enabled():
        return
    try:
        done = await process.run(_PARSER, stdin=profile().encode(), timeout=_TIMEOUT)
    except CriError as error:
        log.warning("AppArmor is on, but its profile %s is not loaded: %s", DEFAULT, error)
        return
    if done.returncode:
        log.warning("AppArmor does not take the profile %s: %s", DEFAULT, done.failure)


def _read(path: str, limit: int) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(limit)
    except OSError:
        return ""
