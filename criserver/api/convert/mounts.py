"""Mounts, devices and images of a container, from and to protobuf."""

from __future__ import annotations

from collections.abc import Iterable

from criserver.api.convert import fields, namespaces
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.container import Device, ImageSpec, Mount, Propagation
from criserver.model.edits import cdi_name
from criserver.spec import checks

_PREFIX = "PROPAGATION_"
_PROPAGATIONS: dict[int, Propagation] = {
    number: Propagation(name.removeprefix(_PREFIX)) for name, number in pb.MountPropagation.items()
}
_PROPAGATION_NUMBERS = {mode: pb.MountPropagation.Value(_PREFIX + mode.value) for mode in Propagation}


def mount(given: pb.Mount) -> Mount:
    """Mount: of a host path or of an image, never both."""
    field = f"config.mounts {given.container_path[:80]!r}"
    has_image = given.HasField("image") and bool(given.image.image)
    if has_image == bool(given.host_path):
        raise InvalidArgument(f"{field}: give either host_path or image, and not both")
    if given.image_sub_path and not has_image:
        raise InvalidArgument(f"{field}: image_sub_path without an image; give the image")
    return Mount(
        container_path=checks.absolute_path(given.container_path, f"{field}: container_path"),
        host_path=checks.absolute_path(given.host_path, f"{field}: host_path") if given.host_path else "",
        readonly=given.readonly,
        selinux_relabel=given.selinux_relabel,
        propagation=fields.choice(given.propagation, _PROPAGATIONS, f"{field}: propagation"),
        uid_mappings=namespaces.mappings(given.uidMappings, f"{field}: uidMappings"),
        gid_mappings=namespaces.mappings(given.gidMappings, f"{field}: gidMappings"),
        recursive_read_only=given.recursive_read_only,
        image=image_spec(given.image, f"{field}: image") if has_image else None,
        image_sub_path=fields.relative_path(given.image_sub_path, f"{field}: image_sub_path"),
        mount_options=tuple(fields.line(option, f"{field}: mount_options") for option in given.mount_options),
    )


def mount_pb(given: Mount, image_ref: str = "") -> pb.Mount:
    """A mount of a container's status; `image_ref` is the digest of the image that an image volume shows."""
    result = pb.Mount(
        container_path=given.container_path,
        host_path=given.host_path,
        readonly=given.readonly,
        selinux_relabel=given.selinux_relabel,
        propagation=_PROPAGATION_NUMBERS[given.propagation],
        uidMappings=namespaces.mappings_pb(given.uid_mappings),
        gidMappings=namespaces.mappings_pb(given.gid_mappings),
        recursive_read_only=given.recursive_read_only,
        image_sub_path=given.image_sub_path,
        mount_options=given.mount_options,
    )
    if given.image is not None:
        result.image.CopyFrom(image_spec_pb(given.image))
        result.image.image_ref = image_ref or given.image.image_ref
    return result


def device(given: pb.Device) -> Device:
    """Device; without a container path it keeps the host's."""
    field = f"config.devices {given.host_path[:80]!r}"
    host = checks.absolute_path(given.host_path, f"{field}: host_path")
    if not given.permissions or set(given.permissions) - set("rwm"):
        raise InvalidArgument(f'{field}: permissions {given.permissions[:80]!r}; give some of "rwm"')
    inside = checks.absolute_path(given.container_path, f"{field}: container_path") if given.container_path else host
    return Device(inside, host, given.permissions)


def cdi_names(given: Iterable[pb.CDIDevice]) -> tuple[str, ...]:
    """CDI devices by their full names, "vendor.com/class=device"."""
    names = tuple(entry.name for entry in given)
    for name in names:
        if cdi_name(name) is None:
            raise InvalidArgument(f"config.CDI_devices: {name[:80]!r} is not a full name; give vendor/class=device")
    return names


def image_spec(given: pb.ImageSpec, field: str) -> ImageSpec:
    """ImageSpec with a reference in it."""
    if not given.image:
        raise InvalidArgument(f"{field}.image: empty; give an image reference or id")
    return ImageSpec(
        image=fields.line(given.image, f"{field}.image"),
        annotations=fields.texts(given.annotations, f"{field}.annotations"),
        user_specified_image=fields.line(given.user_specified_image, f"{field}.user_specified_image"),
        runtime_handler=fields.line(given.runtime_handler, f"{field}.runtime_handler"),
        image_ref=fields.line(given.image_ref, f"{field}.image_ref"),
    )


def image_spec_pb(given: ImageSpec) -> pb.ImageSpec:
    """ImageSpec back."""
    return pb.ImageSpec(
        image=given.image,
        annotations=given.annotations,
        user_specified_image=given.user_specified_image,
        runtime_handler=given.runtime_handler,
        image_ref=given.image_ref,
    )
