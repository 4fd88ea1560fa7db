"""What each state claims, as a table; what is more is left over, what is less is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from criserver.lifecycle.mending import claims
from criserver.lifecycle.mending.claims import Claim
from criserver.model.container import Container, ContainerState
from criserver.model.findings import Kind, Thing
from criserver.model.sandbox import Sandbox, SandboxConfig, SandboxState
from criserver.model.security import NamespaceMode, NamespaceOptions, SandboxSecurity
from tests.support.world import container, mapped_pod, pod


def sandbox(state: SandboxState, config: SandboxConfig, pid_init: int = 0) -> Sandbox:
    return Sandbox("a", config, "runc", state, 0, pid_init=pid_init)


def row(state: ContainerState) -> Container:
    return Container("c", "a", container(), state, 0, image_id="i")


def on_host() -> SandboxConfig:
    options = NamespaceOptions(network=NamespaceMode.NODE, ipc=NamespaceMode.NODE, pid=NamespaceMode.NODE)
    return replace(pod(), security=SandboxSecurity(namespace_options=options))


@pytest.mark.parametrize("state", [SandboxState.CREATING, SandboxState.STOPPING, SandboxState.REMOVING])
def test_a_pod_on_its_way_may_have_anything_and_must_have_nothing(state: SandboxState) -> None:
    assert claims.of_pod(sandbox(state, pod())) == Claim(frozenset(), frozenset(Kind))


def test_ready_pods_by_their_namespaces() -> None:
    usual = {Kind.UTS, Kind.POD_FILES, Kind.POD_CGROUP}
    own = usual | {Kind.NET, Kind.ATTACHMENT, Kind.IPC, Kind.SHM}
    ready = SandboxState.READY
    assert claims.of_pod(sandbox(ready, pod())) == Claim(frozenset(own), frozenset(own | {Kind.ADDRESS}))
    assert claims.of_pod(sandbox(ready, pod(), 7)).must == own | {Kind.PID, Kind.POD_INIT}
    assert claims.of_pod(sandbox(ready, on_host())).must == usual
    assert claims.of_pod(sandbox(ready, mapped_pod())).must == own | {Kind.USER}


def test_a_stopped_pod_keeps_its_files() -> None:
    stopped = claims.of_pod(sandbox(SandboxState.NOTREADY, pod()))
    assert stopped == Claim(frozenset(), frozenset({Kind.POD_FILES, Kind.POD_CGROUP}))


def test_containers_by_their_states() -> None:
    for state in (ContainerState.CREATED, ContainerState.RUNNING):
        must = claims.of_container(row(state)).must
        assert must >= {Kind.MONITOR, Kind.ROOT, Kind.WRITABLE, Kind.BUNDLE, Kind.CGROUP, Kind.RUNTIME}
        assert Kind.VOLUME not in must
        assert Kind.VOLUME in claims.of_container(replace(row(state), image_volumes={"/v": "sha256:1"})).must
    exited = claims.of_container(row(ContainerState.EXITED))
    assert (exited.must, Kind.WRITABLE in exited.may, Kind.NET in exited.may) == (frozenset(), True, False)
    for state in (ContainerState.CREATING, ContainerState.REMOVING, ContainerState.UNKNOWN):
        assert claims.of_container(row(state)) == Claim(frozenset(), frozenset(Kind))


def test_left_over_and_missing() -> None:
    things = [Thing(Kind.NET, "a", "/a"), Thing(Kind.ROOT, "gone", "/x"), Thing(Kind.SHM, "a", "/s")]
    claimed = {"a": Claim(frozenset({Kind.NET, Kind.UTS}), frozenset({Kind.NET, Kind.UTS}))}
    assert list(claims.left_over(things, claimed)) == things[1:]
    assert list(claims.missing(things, claimed)) == [("a", Kind.UTS)]
    assert list(claims.missing([], {})) == []
