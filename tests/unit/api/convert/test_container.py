"""Containers in and out."""

import json
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from criserver.api.convert.container import container_config, container_info, container_item, container_status
from criserver.api.pb import api_pb2 as pb
from criserver.errors import CriError, InvalidArgument
from criserver.model.container import (
    Container,
    ContainerConfig,
    ContainerMetadata,
    ContainerState,
    Device,
    ImageSpec,
    Mount,
    ProcessUser,
)
from criserver.model.resources import LinuxResources
from criserver.model.security import ContainerSecurity, NamespaceMode

METADATA = pb.ContainerMetadata(name="web", attempt=2)
IMAGE = pb.ImageSpec(image="example.org/web:1")


def config(**fields: Any) -> ContainerConfig:
    return container_config(pb.ContainerConfig(**{"metadata": METADATA, "image": IMAGE, **fields}))


def row(**fields: Any) -> Container:
    values = {
        "id": "c1",
        "sandbox_id": "s1",
        "config": config(labels={"l": "1"}, annotations={"a": "2"}),
        "state": ContainerState.RUNNING,
        "created_at": 7,
        "image_id": "sha256:1",
    }
    return Container(**{**values, **fields})


def test_the_least() -> None:
    assert config() == ContainerConfig(ContainerMetadata("web", 2), ImageSpec("example.org/web:1"))


def test_everything() -> None:
    result = config(
        command=["/bin/sh"],
        args=["-c", "a\nb"],
        working_dir="/w",
        envs=[pb.KeyValue(key="A", value="ü=\n".encode()), pb.KeyValue(key="B")],
        mounts=[pb.Mount(container_path="/a", host_path="/b")],
        devices=[pb.Device(host_path="/dev/fuse", permissions="r")],
        CDI_devices=[pb.CDIDevice(name="vendor.com/net=1")],
        labels={"l": "1"},
        annotations={"a": "2"},
        log_path="web/0.log",
        stdin=True,
        stdin_once=True,
        tty=True,
        linux=pb.LinuxContainerConfig(
            resources=pb.LinuxContainerResources(cpu_shares=5),
            security_context=pb.LinuxContainerSecurityContext(privileged=True),
        ),
        windows=pb.WindowsContainerConfig(),
        stop_signal=pb.Signal.SIGNAL_SIGUSR1,
    )
    assert result == ContainerConfig(
        ContainerMetadata("web", 2),
        ImageSpec("example.org/web:1"),
        ("/bin/sh",),
        ("-c", "a\nb"),
        "/w",
        (("A", "ü=\n"), ("B", "")),
        (Mount("/a", "/b"),),
        (Device("/dev/fuse", "/dev/fuse", "r"),),
        ("vendor.com/net=1",),
        {"l": "1"},
        {"a": "2"},
        "web/0.log",
        True,
        True,
        True,
        LinuxResources(cpu_shares=5),
        ContainerSecurity(privileged=True),
        "SIGUSR1",
    )


def test_without_namespace_options_those_of_the_pod() -> None:
    pod = pb.PodSandboxConfig()
    pod.linux.security_context.namespace_options.pid = pb.NamespaceMode.CONTAINER
    result = container_config(pb.ContainerConfig(metadata=METADATA, image=IMAGE), pod)
    assert result.security.namespace_options.pid is NamespaceMode.CONTAINER


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"metadata": None}, r"^config\.metadata: missing"),
        ({"metadata": pb.ContainerMetadata()}, r"^config\.metadata\.name: empty"),
        ({"metadata": pb.ContainerMetadata(name="a/b")}, r"^config\.metadata\.name: 'a/b'"),
        ({"image": None}, r"^config\.image\.image: empty"),
        ({"command": ["a\0b"]}, r"^config\.command: holds a NUL"),
        ({"args": ["a\0b"]}, r"^config\.args: holds a NUL"),
        ({"args": ["a"] * 16385}, r"^config\.args: 16385 entries"),
        ({"working_dir": "\0"}, r"^config\.working_dir"),
        ({"envs": [pb.KeyValue(value=b"x")]}, "'' is not a variable name"),
        ({"envs": [pb.KeyValue(key="A=B")]}, "'A=B' is not a variable name"),
        ({"envs": [pb.KeyValue(key="A", value=b"secret\xff")]}, "value of 'A' is not valid UTF-8"),
        ({"envs": [pb.KeyValue(key="A", value=b"secret\0")]}, r"config\.envs A: holds a NUL"),
        ({"labels": {"a\n": "b"}}, r"^config\.labels"),
        ({"log_path": "../../etc/passwd"}, r"^config\.log_path"),
        ({"log_path": "/etc/passwd"}, r"^config\.log_path"),
        ({"stop_signal": 99}, r"^config\.stop_signal: 99"),
        ({"CDI_devices": [pb.CDIDevice(name="x")]}, "CDI_devices"),
    ],
)
def test_refusals(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words) as caught:
        config(**fields)
    assert "secret" not in str(caught.value)


def test_status() -> None:
    container = row(
        config=config(
            labels={"l": "1"},
            annotations={"a": "2"},
            mounts=[pb.Mount(container_path="/a", host_path="/b", readonly=True)],
        ),
        image_ref="example.org/web@sha256:2",
        log_path="/var/log/pods/web/0.log",
        user=ProcessUser(1, 2, (2, 3)),
        stop_signal="SIGRTMIN+3",
        started_at=8,
        resources=LinuxResources(cpu_shares=9),
    )
    assert container_status(container) == pb.ContainerStatus(
        id="c1",
        metadata=METADATA,
        state=pb.ContainerState.CONTAINER_RUNNING,
        created_at=7,
        started_at=8,
        image=IMAGE,
        image_ref="example.org/web@sha256:2",
        labels={"l": "1"},
        annotations={"a": "2"},
        mounts=[pb.Mount(container_path="/a", host_path="/b", readonly=True)],
        log_path="/var/log/pods/web/0.log",
        resources=pb.ContainerResources(linux=pb.LinuxContainerResources(cpu_shares=9)),
        image_id="sha256:1",
        user=pb.ContainerUser(linux=pb.LinuxContainerUser(uid=1, gid=2, supplemental_groups=[2, 3])),
        stop_signal=pb.Signal.SIGNAL_SIGRTMINPLUS3,
    )


@pytest.mark.parametrize(
    ("code", "reason", "shown"),
    [
        (0, "", "Completed"),
        (1, "", "Error"),
        (137, "OOMKilled", "OOMKilled"),
        (0, "ContainerCannotRun", "ContainerCannotRun"),
    ],
)
def test_reasons_of_an_end(code: int, reason: str, shown: str) -> None:
    status = container_status(
        row(state=ContainerState.EXITED, exit_code=code, finished_at=9, reason=reason, message="m")
    )
    assert (status.exit_code, status.reason, status.message, status.finished_at) == (code, shown, "m", 9)


def test_no_reason_before_the_end() -> None:
    assert container_status(row()).reason == ""


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("CREATING", "CREATED"),
        ("CREATED", "CREATED"),
        ("RUNNING", "RUNNING"),
        ("EXITED", "EXITED"),
        ("REMOVING", "EXITED"),
        ("UNKNOWN", "UNKNOWN"),
    ],
)
def test_states(state: str, shown: str) -> None:
    container = row(state=ContainerState(state))
    assert pb.ContainerState.Name(container_item(container).state) == f"CONTAINER_{shown}"
    assert container_status(container).state == container_item(container).state


def test_item() -> None:
    assert container_item(row()) == pb.Container(
        id="c1",
        pod_sandbox_id="s1",
        metadata=METADATA,
        image=IMAGE,
        image_ref="sha256:1",
        state=pb.ContainerState.CONTAINER_RUNNING,
        created_at=7,
        labels={"l": "1"},
        annotations={"a": "2"},
        image_id="sha256:1",
    )


def test_an_image_bears_the_name_that_its_user_gave_it() -> None:
    asked = config(image=pb.ImageSpec(image="sha256:1", user_specified_image="example.org/web:1"))
    for shown in (container_item(row(config=asked)), container_status(row(config=asked))):
        assert (shown.image.image, shown.image_id) == ("example.org/web:1", "sha256:1")


def test_info_is_json() -> None:
    info = json.loads(json.dumps(container_info(row(pid=5, runtime_handler="runc"), {"ociVersion": "1.0.2"})))
    assert (info["pid"], info["sandboxID"], info["runtimeSpec"]["ociVersion"]) == (5, "s1", "1.0.2")


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_but_with_words(raw: bytes) -> None:
    message = pb.ContainerConfig(metadata=METADATA, image=IMAGE)
    try:
        message.MergeFromString(raw)
    except DecodeError:  # what is not protobuf never reaches a handler
        return
    try:
        result = container_config(message)
    except CriError:
        return
    assert ".." not in result.log_path.split("/")
