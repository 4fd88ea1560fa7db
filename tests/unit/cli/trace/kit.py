"""A pod's traces as a server tells them, with hostile names in them."""

from __future__ import annotations

import json
from typing import Any

ID = "0123456789ab" + "c" * 52
SECOND = 1_000_000_000
BEGAN = 1_764_000_000 * SECOND

RESULT = {
    "interfaces": [{"name": "cni0"}, {"name": "eth0", "sandbox": "/ns/net"}],
    "ips": [{"address": "10.0.0.5/24", "gateway": "10.0.0.1"}],
}
SPEC = {
    "process": {"args": ["sh", "-c", "true"], "user": {"uid": 0, "gid": 7}, "capabilities": {"bounding": ["CAP_KILL"]}},
    "mounts": [{}, {}],
    "linux": {
        "namespaces": [{"type": "network", "path": "/ns/net"}, {"type": "mount"}],
        "resources": {"memory": {"limit": 64 << 20}},
        "seccomp": {"syscalls": [{}, {}, {}]},
    },
}


def asked(kind: str, what: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "what": what, "at": 0.0, "took": None, "text": "", "answer": "", "failed": False, **more}


def stage(name: str, start: float, duration: float | None, *asked: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "start": start, "duration": duration, "failed": False, "asked": asked, "more": 0, **more}


def operation(name: str, took: float | None, *stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    found = {
        "operation": name, "pod": "shop/<b>web</b>", "sandbox_id": ID, "began": BEGAN, "took": took, "container": "",
        "container_id": "", "error": "", "parent": "", "stages": stages,
    }  # fmt: skip
    return found | more


def answer(*operations: dict[str, Any]) -> dict[str, Any]:
    pod = {"pod": "shop/<b>web</b>", "sandbox_id": ID, "operations": operations}
    return {"pods": [pod], "now": BEGAN + 5 * SECOND}


CREATE = asked("runtime", f"runc create {ID}", took=0.04, answer="init is pid 7")
WHOLE = answer(
    operation(
        "RunPodSandbox", 0.1,
        stage("namespaces", 0.0, 0.01, asked("namespace", f"mount --bind /ns /run/{ID}/net")),
        stage("files", 0.012, 0.004, asked("file", "write /hosts", text="127.0.0.1 localhost")),
        stage(
            "network", 0.01, 0.09,
            asked("cni", "CNI_COMMAND=ADD /opt/cni/bin/bridge", took=0.08, text="{}", answer=json.dumps(RESULT)),
        ),
    ),
    operation(
        "CreateContainer", 0.05,
        stage("spec", 0.0, 0.01, asked("file", "write /b/config.json", text=json.dumps(SPEC))),
        stage("runtime create", 0.01, 0.04, CREATE, more=2),
        began=BEGAN + SECOND, container="<i>nginx",
    ),
)  # fmt: skip
RUNS = answer(operation("RunPodSandbox", None, stage("reserve", 0.0, 0.01), stage("network", 0.01, None)))
FAILED = answer(operation("RunPodSandbox", 0.2, stage("network", 0.0, 0.2, failed=True), error="no [bold]address[/]"))
