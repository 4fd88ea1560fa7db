"""Security contexts of sandboxes and containers, and the profiles in them, from protobuf."""

from __future__ import annotations

from collections.abc import Sequence

from criserver.api.convert import fields, namespaces
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.security import (
    Capabilities,
    ContainerSecurity,
    GroupsPolicy,
    ProfileType,
    SandboxSecurity,
    SecurityProfile,
    SelinuxOptions,
)
from criserver.spec import checks
from criserver.spec.user import MAX_ID

_POLICIES: dict[int, GroupsPolicy] = {n: GroupsPolicy(name) for name, n in pb.SupplementalGroupsPolicy.items()}
_PROFILES: dict[int, ProfileType] = {n: ProfileType(name) for name, n in pb.SecurityProfile.ProfileType.items()}
_LIST_LIMIT = 1024


def sandbox_security(given: pb.LinuxSandboxSecurityContext, field: str) -> SandboxSecurity:
    """LinuxSandboxSecurityContext; InvalidArgument names what is wrong."""
    user, group = _ids(given, field)
    if group is not None and user is None:
        raise InvalidArgument(f"{field}.run_as_group: {group} without run_as_user; give the user as well")
    return SandboxSecurity(
        namespace_options=namespaces.sandbox_namespaces(given.namespace_options, f"{field}.namespace_options"),
        selinux=_selinux(given, field),
        run_as_user=user,
        run_as_group=group,
        readonly_rootfs=given.readonly_rootfs,
        supplemental_groups=_groups(given.supplemental_groups, field),
        supplemental_groups_policy=_policy(given.supplemental_groups_policy, field),
        privileged=given.privileged,
        seccomp=_seccomp(given, field),
        apparmor=_profile(given.apparmor, f"{field}.apparmor") if given.HasField("apparmor") else None,
    )


def container_security(
    given: pb.LinuxContainerSecurityContext, pod: pb.NamespaceOption, field: str
) -> ContainerSecurity:
    """LinuxContainerSecurityContext; a container that says nothing of namespaces takes those of its `pod`."""
    user, group = _ids(given, field)
    options = given.namespace_options if given.HasField("namespace_options") else pod
    return ContainerSecurity(
        namespace_options=namespaces.namespace_options(options, f"{field}.namespace_options"),
        capabilities=_capabilities(given.capabilities, f"{field}.capabilities"),
        privileged=given.privileged,
        selinux=_selinux(given, field),
        run_as_user=user,
        run_as_group=group,
        run_as_username=fields.line(given.run_as_username, f"{field}.run_as_username"),
        readonly_rootfs=given.readonly_rootfs,
        supplemental_groups=_groups(given.supplemental_groups, field),
        supplemental_groups_policy=_policy(given.supplemental_groups_policy, field),
        no_new_privs=given.no_new_privs,
        masked_paths=_paths(given.masked_paths, f"{field}.masked_paths"),
        readonly_paths=_paths(given.readonly_paths, f"{field}.readonly_paths"),
        seccomp=_seccomp(given, field),
        apparmor=_apparmor(given, field),
    )


def _ids(
    given: pb.LinuxSandboxSecurityContext | pb.LinuxContainerSecurityContext, field: str
) -> tuple[int | None, int | None]:
    user = given.run_as_user.value if given.HasField("run_as_user") else None
    group = given.run_as_group.value if given.HasField("run_as_group") else None
    for number, name in ((user, "run_as_user"), (group, "run_as_group")):
        if number is not None:
            checks.number(number, 0, MAX_ID, f"{field}.{name}")
    return user, group


def _groups(given: Sequence[int], field: str) -> tuple[int, ...]:
    _bounded(given, f"{field}.supplemental_groups")
    return tuple(checks.number(gid, 0, MAX_ID, f"{field}.supplemental_groups") for gid in given)


def _policy(number: int, field: str) -> GroupsPolicy:
    return fields.choice(number, _POLICIES, f"{field}.supplemental_groups_policy")


def _capabilities(given: pb.Capability, field: str) -> Capabilities:
    for names in (given.add_capabilities, given.drop_capabilities, given.add_ambient_capabilities):
        _bounded(names, field)
    return Capabilities(
        tuple(given.add_capabilities), tuple(given.drop_capabilities), tuple(given.add_ambient_capabilities)
    )


def _paths(given: Sequence[str], field: str) -> tuple[str, ...]:
    _bounded(given, field)
    return tuple(checks.absolute_path(path, field) for path in given)


def _bounded(given: Sequence[object], field: str) -> None:
    if len(given) > _LIST_LIMIT:
        raise InvalidArgument(f"{field}: {len(given)} entries; give at most {_LIST_LIMIT}")


def _selinux(
    given: pb.LinuxSandboxSecurityContext | pb.LinuxContainerSecurityContext, field: str
) -> SelinuxOptions | None:
    if not given.HasField("selinux_options"):
        return None
    options, place = given.selinux_options, f"{field}.selinux_options"
    parts = (options.user, options.role, options.type, options.level)
    return SelinuxOptions(*(fields.line(part, place) for part in parts)) if any(parts) else None


def _profile(given: pb.SecurityProfile, field: str) -> SecurityProfile:
    kind = fields.choice(given.profile_type, _PROFILES, f"{field}.profile_type")
    if kind is ProfileType.LOCALHOST and not given.localhost_ref:
        # An empty reference must not end as "unconfined" (CVE-2023-2431).
        raise InvalidArgument(f"{field}.localhost_ref: empty, but profile_type is Localhost; give the profile")
    if kind is not ProfileType.LOCALHOST and given.localhost_ref:
        raise InvalidArgument(
            f"{field}.localhost_ref: {given.localhost_ref[:80]!r} with {kind}; give it with Localhost"
        )
    return SecurityProfile(kind, fields.line(given.localhost_ref, f"{field}.localhost_ref"))


def _seccomp(
    given: pb.LinuxSandboxSecurityContext | pb.LinuxContainerSecurityContext, field: str
) -> SecurityProfile | None:
    """The seccomp profile, or what the deprecated field says; a localhost one is an absolute path."""
    if given.HasField("seccomp"):
        profile: SecurityProfile | None = _profile(given.seccomp, f"{field}.seccomp")
    else:
        profile = _legacy(given.seccomp_profile_path, f"{field}.seccomp_profile_path")
    if profile is not None and profile.profile_type is ProfileType.LOCALHOST:
        return SecurityProfile(
            ProfileType.LOCALHOST, checks.absolute_path(profile.localhost_ref, f"{field}.seccomp.localhost_ref")
        )
    return profile


def _apparmor(given: pb.LinuxContainerSecurityContext, field: str) -> SecurityProfile | None:
    if given.HasField("apparmor"):
        return _profile(given.apparmor, f"{field}.apparmor")
    return _legacy(given.apparmor_profile, f"{field}.apparmor_profile")


def _legacy(text: str, field: str) -> SecurityProfile | None:
    """A profile in its old form: "", "runtime/default", "unconfined" or "localhost/NAME"."""
    if not text:
        return None
    if text in ("runtime/default", "docker/default"):
        return SecurityProfile(ProfileType.RUNTIME_DEFAULT)
    if text == "unconfined":
        return SecurityProfile(ProfileType.UNCONFINED)
    kind, _, reference = text.partition("/")
    if kind != "localhost" or not reference:
        raise InvalidArgument(
            f"{field}: {text[:80]!r} is not a profile; give runtime/default, unconfined or localhost/NAME"
        )
    return SecurityProfile(ProfileType.LOCALHOST, fields.line(reference, field))
