"""The host's NAT rules as the standard CNI plugins make them: which speak of a test's pods, and how to be rid of them.

Rules are taken away one by one: to save, filter and restore the table would lose what others add meanwhile.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Collection

POD_CHAIN = re.compile(r"CNI-(DN-|SN-)?[0-9a-f]{20,}")
"""Chains of one pod are named by a hash; those for all pods (CNI-HOSTPORT-...) stay."""

NAT = ("iptables", "--wait", "--table", "nat")


def rules(marks: Collection[str]) -> list[str]:
    """Rules ("-A CHAIN ...") that have any of `marks` in them: ids in comments, the beginning of addresses."""
    done = subprocess.run([*NAT, "--list-rules"], capture_output=True, text=True, check=True)
    lines = (line for line in done.stdout.splitlines() if line.startswith("-A "))
    return [line for line in lines if any(mark in line for mark in marks)]


def remove(marks: Collection[str]) -> None:
    """Remove these rules, and the plugins' chains (CNI-...) that they lead to."""
    found = [shlex.split(line) for line in rules(marks)]
    for _, *rule in found:
        subprocess.run([*NAT, "--delete", *rule], check=False, capture_output=True)
    for chain in {word for rule in found for word in rule if POD_CHAIN.fullmatch(word)}:
        subprocess.run([*NAT, "--flush", chain], check=False, capture_output=True)
        subprocess.run([*NAT, "--delete-chain", chain], check=False, capture_output=True)
