"""Containers: ContainerConfig in, Container and ContainerStatus out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from criserver.api.convert import fields, mounts, resources, security, signals
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.container import Container, ContainerConfig, ContainerMetadata, ContainerState, ImageSpec
from criserver.spec import checks

_STATES: dict[ContainerState, pb.ContainerState.ValueType] = {
    ContainerState.CREATING: pb.ContainerState.CONTAINER_CREATED,
    ContainerState.CREATED: pb.ContainerState.CONTAINER_CREATED,
    ContainerState.RUNNING: pb.ContainerState.CONTAINER_RUNNING,
    ContainerState.EXITED: pb.ContainerState.CONTAINER_EXITED,
    ContainerState.REMOVING: pb.ContainerState.CONTAINER_EXITED,
    ContainerState.UNKNOWN: pb.ContainerState.CONTAINER_UNKNOWN,
}
_LIST_LIMIT = 16384


def container_config(given: pb.ContainerConfig, pod: pb.PodSandboxConfig | None = None) -> ContainerConfig:
    """ContainerConfig, checked; InvalidArgument names the field, the value and the fix. Windows fields mean nothing.

    A container without namespace options takes those of `pod`, the request's sandbox config.
    """
    _check_lengths(given)
    pod_options = (pod or pb.PodSandboxConfig()).linux.security_context.namespace_options
    return ContainerConfig(
        metadata=_metadata(given),
        image=mounts.image_spec(given.image, "config.image"),
        command=tuple(checks.text(word, "config.command") for word in given.command),
        args=tuple(checks.text(word, "config.args") for word in given.args),
        working_dir=checks.text(given.working_dir, "config.working_dir"),
        envs=tuple(_env(entry) for entry in given.envs),
        mounts=tuple(mounts.mount(entry) for entry in given.mounts),
        devices=tuple(mounts.device(entry) for entry in given.devices),
        cdi_devices=mounts.cdi_names(given.CDI_devices),
        labels=fields.texts(given.labels, "config.labels"),
        annotations=fields.texts(given.annotations, "config.annotations"),
        log_path=fields.relative_path(given.log_path, "config.log_path"),
        stdin=given.stdin,
        stdin_once=given.stdin_once,
        tty=given.tty,
        resources=resources.linux_resources(given.linux.resources, "config.linux.resources"),
        security=security.container_security(
            given.linux.security_context, pod_options, "config.linux.security_context"
        ),
        stop_signal=signals.signal_name(given.stop_signal, "config.stop_signal"),
    )


def _image(wish: ImageSpec) -> pb.ImageSpec:
    """Named as its user named it: a kubelet asks for an image by its id, and shows this name in the pod's status."""
    told = mounts.image_spec_pb(wish)
    told.image = wish.user_specified_image or wish.image
    return told


def container_item(row: Container) -> pb.Container:
    """A line of ListContainers; hundreds are made at once."""
    config = row.config
    return pb.Container(
        id=row.id,
        pod_sandbox_id=row.sandbox_id,
        metadata=pb.ContainerMetadata(name=config.metadata.name, attempt=config.metadata.attempt),
        image=_image(config.image),
        image_ref=row.image_ref or row.image_id,
        state=_STATES[row.state],
        created_at=row.created_at,
        labels=config.labels,
        annotations=config.annotations,
        image_id=row.image_id,
    )


def container_status(row: Container) -> pb.ContainerStatus:
    """ContainerStatus; exit code, reason and message as far as the container has come."""
    config = row.config
    return pb.ContainerStatus(
        id=row.id,
        metadata=pb.ContainerMetadata(name=config.metadata.name, attempt=config.metadata.attempt),
        state=_STATES[row.state],
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        exit_code=row.exit_code,
        image=_image(config.image),
        image_ref=row.image_ref or row.image_id,
        reason=_reason(row),
        message=row.message,
        labels=config.labels,
        annotations=config.annotations,
        mounts=[
            mounts.mount_pb(mount, row.image_volumes.get(mount.container_path, "")) for mount in config.mounts
        ],
        log_path=row.log_path,
        resources=pb.ContainerResources(linux=resources.linux_resources_pb(row.resources)),
        image_id=row.image_id,
        user=pb.ContainerUser(
            linux=pb.LinuxContainerUser(
                uid=row.user.uid, gid=row.user.gid, supplemental_groups=row.user.additional_gids
            )
        ),
        stop_signal=signals.signal_pb(row.stop_signal),
    )


def container_info(row: Container, spec: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a verbose status adds, ready for JSON: pid, the OCI document if there is one, and where things are."""
    return {
        "cgroupsPath": row.cgroups_path,
        "pid": row.pid,
        "privileged": row.config.security.privileged,
        "runtimeHandler": row.runtime_handler,
        "runtimeSpec": spec,
        "sandboxID": row.sandbox_id,
        "state": row.state.value,
    }


def _reason(row: Container) -> str:
    """The reason that is on record, else what the exit code says (CRI ContainerStatus.reason)."""
    if row.reason or _STATES[row.state] != pb.ContainerState.CONTAINER_EXITED:
        return row.reason
    return "Error" if row.exit_code else "Completed"


def _metadata(given: pb.ContainerConfig) -> ContainerMetadata:
    if not given.HasField("metadata"):
        raise InvalidArgument("config.metadata: missing; give the container's name and attempt")
    return ContainerMetadata(fields.name(given.metadata.name, "config.metadata.name"), given.metadata.attempt)


def _env(given: pb.KeyValue) -> tuple[str, str]:
    key = checks.text(given.key, "config.envs")
    if not key or "=" in key:
        raise InvalidArgument(f'config.envs: key {key[:80]!r} is not a variable name; give one without "="')
    try:
        value = given.value.decode()
    except UnicodeDecodeError:
        # config.json is UTF-8, so other bytes would reach the container changed, and nobody would know.
        raise InvalidArgument(f"config.envs: the value of {key[:80]!r} is not valid UTF-8; give text") from None
    return key, checks.text(value, f"config.envs {key}")


def _check_lengths(given: pb.ContainerConfig) -> None:
    for name in ("command", "args", "envs", "mounts", "devices", "CDI_devices"):
        length = len(getattr(given, name))
        if length > _LIST_LIMIT:
            raise InvalidArgument(f"config.{name}: {length} entries; give at most {_LIST_LIMIT}")
