"""Documents in a few words: what a plugin has answered, what a config.json says. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from criserver.observe.timings import Asked

_ID = re.compile(r"(?:(?<![0-9a-f])|(?<=pod))([0-9a-f]{12})[0-9a-f]{52}(?![0-9a-f])")


def shortened(text: str) -> str:
    """The text with ids of 64 digits as their first twelve."""
    return _ID.sub(r"\1…", text)


def gist(asked: Asked) -> tuple[str, ...]:
    """What it says and what came of it, in a line each."""
    found = [_told(asked.answer, _network)] if asked.kind == "cni" else [_told(asked.text, _spec)]
    if asked.answer and not asked.answer.lstrip().startswith("{"):
        found.append(asked.answer.strip()[:200])
    return tuple(each for each in found if each)


def _told(text: str, tell: Callable[[Mapping[str, Any]], str]) -> str:
    try:
        return tell(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return ""  # not the document that it seemed to be, or cut short


def _network(result: Mapping[str, Any]) -> str:
    interfaces = [each["name"] for each in result.get("interfaces", ()) if each.get("sandbox")]
    addresses = [_address(each) for each in result.get("ips", ())]
    return f"{', '.join(interfaces)} has {' and '.join(addresses)}" if interfaces and addresses else ""


def _address(ip: Mapping[str, str]) -> str:
    return ip["address"] + (f", its way out is {ip['gateway']}" if ip.get("gateway") else "")


def _spec(spec: Mapping[str, Any]) -> str:
    process, linux = spec["process"], spec["linux"]
    joined = [each["type"] for each in linux.get("namespaces", ()) if each.get("path")]
    made = [each["type"] for each in linux.get("namespaces", ()) if not each.get("path")]
    memory = linux.get("resources", {}).get("memory", {}).get("limit", 0)
    parts = [
        f"runs “{' '.join(process['args'])[:80]}” as {process['user']['uid']}:{process['user']['gid']}",
        f"joins the pod's {', '.join(joined)} namespaces" if joined else "",
        f"gets {', '.join(made)} namespaces of its own" if made else "",
        f"{len(spec.get('mounts', ()))} mounts",
        f"{len(process.get('capabilities', {}).get('bounding', ()))} capabilities",
        f"a filter of {len(linux['seccomp'].get('syscalls', ()))} rules for system calls" if "seccomp" in linux else "",
        f"at most {memory / (1 << 20):.0f} MiB of memory" if memory > 0 else "",
    ]
    return "; ".join(part for part in parts if part)
