"""CDI devices and hooks of the operator's directories, in real containers of both runtimes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.critest import private
from tests.support.server import Client, Server

numbers = itertools.count()


@pytest.fixture(scope="module", params=["runc", "crun"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where the files lie, and the runtime."""
    base = tmp_path_factory.mktemp("injections")
    for name in ("cdi", "cdi-run", "hooks", "driver"):
        (base / name).mkdir()
    (base / "driver/version").write_text("7\n")
    hook = base / "hook"
    hook.write_text(f'#!/bin/sh\ncat > /dev/null\necho "$@" "$WHY" >> {base}/ran\n')
    hook.chmod(0o755)
    return base, request.param


@pytest.fixture(scope="module")
def server(place: tuple[Path, str], pulling: Mapping[str, str]) -> Iterator[Server]:
    base, runtime = place
    section = {
        "default_handler": runtime,
        "cdi_spec_dirs": [f"{base}/cdi", f"{base}/cdi-run"],
        "hooks_dirs": [f"{base}/hooks"],
    }
    with serving(base / "server", {"image": pulling, "runtime": section}, wrapper=private()) as running:
        with running.client() as client:
            cri.pull(client)
        yield running


@pytest.fixture
def files(place: tuple[Path, str]) -> Iterator[Path]:
    """The directories, emptied at the end."""
    base = place[0]
    yield base
    for path in (*base.glob("cdi*/*"), *base.glob("hooks/*"), *base.glob("ran")):
        path.unlink()


def cdi(base: Path, name: str, **edits: Any) -> None:
    """A file with the devices null and more, in the newest version."""
    document = {
        "cdiVersion": "1.0.0",
        "kind": "vendor.com/card",
        "devices": [
            {"name": "null", "containerEdits": {"deviceNodes": [{"path": "/dev/card", "hostPath": "/dev/null"}]}},
            {"name": "more", "containerEdits": edits},
        ],
        "containerEdits": {"env": ["CARD=yes"]},
    }
    (base / name).write_text(json.dumps(document))


def inside(client: Client, script: str, *devices: str, **fields: Any) -> str:
    """What a script writes in a container with those CDI devices; the container is gone when this returns."""
    pod = pod_config(f"p{next(numbers)}")
    pod_id = cri.run(client, pod)
    try:
        wish = container_config("main", "sleep", "1000")
        wish.CDI_devices.extend(pb.CDIDevice(name=name) for name in devices)
        wish.MergeFrom(pb.ContainerConfig(**fields))
        container_id = cri.create(client, pod_id, wish, pod)
        cri.start(client, container_id)
        request = pb.ExecSyncRequest(container_id=container_id, cmd=["sh", "-c", script], timeout=20)
        answer = client("ExecSync", request)
        return str((answer.stdout + answer.stderr).decode().rstrip("\n"))
    finally:
        cri.remove_pod(client, pod_id)


def test_a_device_by_field_and_by_annotation(client: Client, files: Path) -> None:
    mounts = [{"hostPath": f"{files}/driver", "containerPath": "/usr/lib/driver", "options": ["ro", "nosuid", "bind"]}]
    hooks = [{"hookName": "createRuntime", "path": f"{files}/hook", "args": ["hook", "cdi"], "env": ["WHY=asked"]}]
    cdi(files / "cdi", "card.json", env=["MORE=1"], mounts=mounts, hooks=hooks, additionalGids=[4321])
    script = "echo $CARD$MORE; echo x > /dev/card; cat /usr/lib/driver/version; touch /usr/lib/driver/x; id -G"
    lines = inside(client, script, "vendor.com/card=null", "vendor.com/card=more").splitlines()
    assert lines[0] == "yes1" and lines[1] == "7"
    assert "4321" in lines[2].split() and "Read-only" in lines[3]
    assert (files / "ran").read_text() == "cdi asked\n"
    annotations = {"cdi.k8s.io/plugin_1": "vendor.com/card=null"}
    assert inside(client, "echo $CARD; ls /dev/card", annotations=annotations) == "yes\n/dev/card"
    assert inside(client, "echo .$CARD.; ls /dev/card 2>/dev/null") == ".."


def refused(client: Client, *devices: str, **fields: Any) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        inside(client, "true", *devices, **fields)
    return f"{caught.value.code().name}: {caught.value.details()}"


def test_what_is_not_there_or_there_twice_is_refused_by_name(client: Client, files: Path) -> None:
    words = refused(client, "vendor.com/card=null", "vendor.com/card=other")
    assert words.startswith("FAILED_PRECONDITION: CDI devices vendor.com/card=null, vendor.com/card=other: no file")
    cdi(files / "cdi", "a.json", env=["A=1"])
    cdi(files / "cdi", "b.yaml", env=["A=2"])
    words = refused(client, "vendor.com/card=null")
    assert f"vendor.com/card=null: both {files}/cdi/a.json and {files}/cdi/b.yaml describe it" in words
    cdi(files / "cdi-run", "c.json", env=["A=3"])
    assert inside(client, "echo $A", "vendor.com/card=more") == "3"
    words = refused(client, annotations={"cdi.k8s.io/x": "gpu0"})
    assert words.startswith("INVALID_ARGUMENT: CDI device 'gpu0' is not a full name")


def test_a_resource_that_the_host_lacks_is_refused(client: Client, files: Path) -> None:
    cdi(files / "cdi", "card.json", mounts=[{"hostPath": f"{files}/none", "containerPath": "/x", "options": ["bind"]}])
    assert f"{files}/none" in refused(client, "vendor.com/card=more")
    cdi(files / "cdi", "card.json", deviceNodes=[{"path": "/dev/not-there"}])
    assert "its node /dev/not-there on this host: No such file" in refused(client, "vendor.com/card=more")
    cdi(files / "cdi", "card.json", hooks=[{"hookName": "createRuntime", "path": "/bin/false"}])
    assert "hook" in refused(client, "vendor.com/card=more")


def hook(files: Path, name: str, when: dict[str, Any], *stages: str) -> None:
    program = {"path": f"{files}/hook", "args": ["hook", name]}
    text = {"version": "1.0.0", "hook": program, "when": when, "stages": stages}
    (files / "hooks" / f"{name}.json").write_text(json.dumps(text))


def test_hooks_run_where_their_conditions_hold(client: Client, files: Path, tmp_path: Path) -> None:
    hook(files, "0-always", {"always": True}, "createRuntime", "poststop")
    hook(files, "1-annotated", {"annotations": {"^org.example/hook$": "^(yes|on)$"}}, "createRuntime")
    hook(files, "2-sleep", {"commands": ["^sleep$"]}, "poststart")
    hook(files, "3-ls", {"commands": ["^ls$"]}, "poststart")
    hook(files, "4-mounts", {"hasBindMounts": True}, "createRuntime")
    inside(client, "true")
    ran = [line.strip() for line in (files / "ran").read_text().splitlines()]
    assert ran == ["0-always", "2-sleep", "0-always"]
    (files / "ran").unlink()
    mounts = [pb.Mount(host_path=str(tmp_path), container_path="/x")]
    inside(client, "true", annotations={"org.example/hook": "on"}, mounts=mounts)
    ran = [line.strip() for line in (files / "ran").read_text().splitlines()]
    assert ran == ["0-always", "1-annotated", "4-mounts", "2-sleep", "0-always"]


def test_no_container_starts_without_its_hooks(client: Client, files: Path) -> None:
    (files / "hooks/broken.json").write_text("{")
    assert f"hook {files}/hooks/broken.json: Expecting" in refused(client)
    (files / "hooks/broken.json").unlink()
    hook(files, "fails", {"always": True}, "createRuntime")
    (files / "hook").chmod(0o644)
    assert "no executable file" in refused(client)
    (files / "hook").chmod(0o755)
