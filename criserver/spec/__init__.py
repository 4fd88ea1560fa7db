"""From a resolved wish to an OCI config.json: pure decisions, no I/O, no kernel, no gRPC.

`build(SpecWish) -> dict` is the whole interface for CreateContainer, `exec_process` for Exec and ExecSync; the other
modules each own one part of the document and may be used alone (`user` and `signals` before the wish is complete,
`sysctls` when a sandbox is made, `resources` when a container is updated). Whatever must be read from the host, the
image or the configuration comes in through `wish.py`. The same wish gives the same document, byte for byte.
"""

from criserver.model.host import HostDevice, SourcePropagation
from criserver.spec.assemble import build
from criserver.spec.process import exec_process
from criserver.spec.wish import (
    HostFacts,
    Policy,
    ResolvedDevice,
    ResolvedMount,
    Rlimit,
    SandboxFiles,
    SpecWish,
)

__all__ = [
    "HostDevice",
    "HostFacts",
    "Policy",
    "ResolvedDevice",
    "ResolvedMount",
    "Rlimit",
    "SandboxFiles",
    "SourcePropagation",
    "SpecWish",
    "build",
    "exec_process",
]
