"""critest 1.36, the conformance suite of CRI servers, group by group and with every OCI runtime.

Not run: MaskedPaths, which masks /bin/ls and cannot pass where a shell has ls built in, as Debian's busybox has
(test_cves.py masks other paths); Streaming, which is test_streaming_critest.py; NRI, AppArmor and SELinux.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

import pytest

from tests.client.conftest import serving
from tests.support.crictl import TOOLS
from tests.support.critest import Critest, private
from tests.support.server import Server

GROUPS = {
    "container": ("Container runtime should", 18),
    "mount-propagation": ("Container Mount Propagation", 3),
    "mount-readonly": ("Container Mount Readonly", 5),
    "oom": ("Container OOM", 1),
    "idempotence": ("Idempotence", 7),
    "multiple-containers": ("Multiple Containers", 3),
    "pod-sandbox": ("PodSandbox", 6),
    "runtime-info": ("Runtime info", 2),
    "namespaces": ("Security Context NamespaceOption", 7),
    "security": ("Security Context bucket", 15),
    "groups-policy": ("Security Context SupplementalGroupsPolicy", 2),
    "seccomp": ("Security Context SeccompProfilePath", 7),
    "no-new-privs": ("Security Context NoNewPrivs", 2),
    "user-namespaces": ("Security Context UserNamespaces", 6),
    "networking": ("Networking", 4),
    "images": ("Image Manager", 10),
    "image-consistency": ("Image Consistency", 3),
    "image-identifiers": ("Image Identifier Consistency", 2),
}
"""Group → what its specs' names begin with, and how many there are."""

LEFT_OUT = ("MaskedPaths",)
"""Patterns of specs that are not run; see above."""

EXCUSES = {("runc", "user-namespaces"): "no runtime handler found which supports user namespaces"}
"""Runtime and group → the only reason that specs may give for skipping themselves: Debian's runc maps no volumes."""

RUNTIMES = os.environ.get("CRITEST_RUNTIMES", "runc crun").split()
"""Debian's two unless told otherwise; `make test-critest` adds runc as it is now, which takes another minute."""


@pytest.fixture(scope="module", params=RUNTIMES)
def conforming(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pulling: Mapping[str, str]
) -> Iterator[Server]:
    """A server whose default handler is one of the runtimes."""
    name: str = request.param
    config: dict[str, object] = {"image": pulling, "runtime": {"default_handler": name}}
    if name == "runc-current":
        if not (TOOLS / "runc").exists():
            pytest.skip("no current runc is built: hack/tools runc does it, with Go")
        config["runtime"] = {"default_handler": name, "handlers": {name: {"path": str(TOOLS / "runc")}}}
    with serving(tmp_path_factory.mktemp("server"), config, wrapper=private()) as running:
        yield running


@pytest.mark.parametrize("group", GROUPS)
def test_group(conforming: Server, critest: Critest, group: str) -> None:
    begin, count = GROUPS[group]
    outcome = critest.run(conforming, [rf"\[k8s.io\] {re.escape(begin)}"], LEFT_OUT, seconds=150)
    assert not outcome.failed, outcome.told()
    runtime = conforming.config["runtime"]["default_handler"]
    assert set(outcome.skipped.values()) <= {EXCUSES.get((runtime, group))}, outcome.skipped
    left_out = 1 if group == "security" else 0
    assert len(outcome.passed) + len(outcome.skipped) == count - left_out
