"""Security contexts, namespaces, profiles."""

from typing import Any

import pytest

from criserver.api.convert import security
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.security import (
    Capabilities,
    ContainerSecurity,
    GroupsPolicy,
    IdMapping,
    NamespaceMode,
    NamespaceOptions,
    ProfileType,
    SandboxSecurity,
    SecurityProfile,
    SelinuxOptions,
    UserNamespace,
)

POD, CONTAINER, NODE, TARGET = (
    pb.NamespaceMode.POD,
    pb.NamespaceMode.CONTAINER,
    pb.NamespaceMode.NODE,
    pb.NamespaceMode.TARGET,
)
MAPPING = pb.IDMapping(host_id=100000, container_id=0, length=65536)
OPTIONS = pb.NamespaceOption(
    network=NODE,
    pid=TARGET,
    ipc=NODE,
    target_id="c0",
    userns_options=pb.UserNamespace(mode=POD, uids=[MAPPING], gids=[MAPPING]),
)
LOCALHOST = pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost, localhost_ref="/p.json")


def container(pod: pb.NamespaceOption | None = None, **fields: Any) -> ContainerSecurity:
    return security.container_security(pb.LinuxContainerSecurityContext(**fields), pod or pb.NamespaceOption(), "f")


def sandbox(**fields: Any) -> SandboxSecurity:
    return security.sandbox_security(pb.LinuxSandboxSecurityContext(**fields), "f")


def test_nothing_asked() -> None:
    assert container() == ContainerSecurity()
    assert sandbox() == SandboxSecurity()


def test_everything_of_a_container() -> None:
    mapping = (IdMapping(100000, 0, 65536),)
    userns = UserNamespace(NamespaceMode.POD, mapping, mapping)
    assert container(
        capabilities=pb.Capability(add_capabilities=["A"], drop_capabilities=["B"], add_ambient_capabilities=["C"]),
        privileged=True,
        namespace_options=OPTIONS,
        selinux_options=pb.SELinuxOption(user="u", role="r", type="t", level="l"),
        run_as_user=pb.Int64Value(value=0),
        run_as_group=pb.Int64Value(value=2),
        run_as_username="me",
        readonly_rootfs=True,
        supplemental_groups=[3, 4],
        supplemental_groups_policy=pb.SupplementalGroupsPolicy.Strict,
        no_new_privs=True,
        masked_paths=["/m"],
        readonly_paths=["/r"],
        seccomp=LOCALHOST,
        apparmor=pb.SecurityProfile(profile_type=pb.SecurityProfile.Unconfined),
    ) == ContainerSecurity(
        NamespaceOptions(NamespaceMode.NODE, NamespaceMode.TARGET, NamespaceMode.NODE, "c0", userns),
        Capabilities(("A",), ("B",), ("C",)),
        True,
        SelinuxOptions("u", "r", "t", "l"),
        0,
        2,
        "me",
        True,
        (3, 4),
        GroupsPolicy.STRICT,
        True,
        ("/m",),
        ("/r",),
        SecurityProfile(ProfileType.LOCALHOST, "/p.json"),
        SecurityProfile(ProfileType.UNCONFINED),
    )


def test_everything_of_a_sandbox() -> None:
    result = sandbox(
        namespace_options=pb.NamespaceOption(network=NODE, pid=CONTAINER),
        selinux_options=pb.SELinuxOption(type="t"),
        run_as_user=pb.Int64Value(value=1),
        run_as_group=pb.Int64Value(value=2),
        readonly_rootfs=True,
        supplemental_groups=[3],
        supplemental_groups_policy=pb.SupplementalGroupsPolicy.Strict,
        privileged=True,
        seccomp=pb.SecurityProfile(),
        apparmor=pb.SecurityProfile(),
    )
    assert result == SandboxSecurity(
        NamespaceOptions(NamespaceMode.NODE, NamespaceMode.CONTAINER),
        SelinuxOptions(type="t"),
        1,
        2,
        True,
        (3,),
        GroupsPolicy.STRICT,
        True,
        SecurityProfile(),
        SecurityProfile(),
    )


def test_without_namespace_options_those_of_the_pod() -> None:
    pod = pb.NamespaceOption(pid=CONTAINER)
    assert container(pod).namespace_options.pid is NamespaceMode.CONTAINER
    assert container(pod, namespace_options=pb.NamespaceOption()).namespace_options.pid is NamespaceMode.POD


def test_empty_selinux_options_are_none() -> None:
    assert container(selinux_options=pb.SELinuxOption()).selinux is None


def test_uid_0_is_asked_for_and_none_is_not() -> None:
    assert container(run_as_user=pb.Int64Value()).run_as_user == 0
    assert container().run_as_user is None


def test_privileges_of_old_fields() -> None:
    def seccomp(path: str) -> SecurityProfile | None:
        return container(seccomp_profile_path=path).seccomp

    assert seccomp("") is None
    assert seccomp("runtime/default") == SecurityProfile()
    assert seccomp("unconfined") == SecurityProfile(ProfileType.UNCONFINED)
    assert seccomp("localhost//p.json") == SecurityProfile(ProfileType.LOCALHOST, "/p.json")
    armor = container(apparmor_profile="localhost/mine").apparmor
    assert armor == SecurityProfile(ProfileType.LOCALHOST, "mine")
    assert sandbox(seccomp_profile_path="runtime/default").seccomp == SecurityProfile()
    both = container(apparmor_profile="localhost/mine", apparmor=pb.SecurityProfile())
    assert both.apparmor == SecurityProfile()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"run_as_user": pb.Int64Value(value=-1)}, r"f\.run_as_user: -1"),
        ({"run_as_user": pb.Int64Value(value=2**31)}, r"f\.run_as_user: 2147483648"),
        ({"run_as_group": pb.Int64Value(value=2**32)}, r"f\.run_as_group"),
        ({"supplemental_groups": [-1]}, r"f\.supplemental_groups: -1"),
        ({"supplemental_groups": [1] * 1025}, r"f\.supplemental_groups: 1025"),
        ({"supplemental_groups_policy": 5}, r"f\.supplemental_groups_policy: 5"),
        ({"run_as_username": "a\nb"}, r"f\.run_as_username"),
        ({"masked_paths": ["a"]}, r"f\.masked_paths"),
        ({"readonly_paths": ["/a/../b"]}, r"f\.readonly_paths"),
        ({"capabilities": pb.Capability(add_capabilities=["A"] * 1025)}, r"f\.capabilities"),
        ({"selinux_options": pb.SELinuxOption(level="a\n")}, r"f\.selinux_options"),
        ({"namespace_options": pb.NamespaceOption(network=CONTAINER)}, r"options\.network: CONTAINER"),
        ({"namespace_options": pb.NamespaceOption(ipc=TARGET)}, r"options\.ipc: TARGET"),
        ({"namespace_options": pb.NamespaceOption(pid=TARGET)}, r"options\.target_id: empty"),
        ({"namespace_options": pb.NamespaceOption(pid=9)}, r"options\.pid: 9"),  # type: ignore[arg-type]
        ({"namespace_options": pb.NamespaceOption(userns_options=pb.UserNamespace())}, "0 mappings"),
        ({"seccomp": pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost)}, r"seccomp\.localhost_ref: empty"),
        ({"seccomp": pb.SecurityProfile(localhost_ref="/p")}, r"seccomp\.localhost_ref: '/p' with RuntimeDefault"),
        (
            {"seccomp": pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost, localhost_ref="p")},
            r"seccomp\.localhost_ref: 'p'",
        ),
        ({"seccomp": pb.SecurityProfile(profile_type=3)}, r"seccomp\.profile_type: 3"),  # type: ignore[arg-type]
        (
            {"apparmor": pb.SecurityProfile(profile_type=pb.SecurityProfile.Localhost)},
            r"apparmor\.localhost_ref: empty",
        ),
        ({"seccomp_profile_path": "localhost/"}, r"f\.seccomp_profile_path"),
        ({"apparmor_profile": "nonsense"}, r"f\.apparmor_profile"),
    ],
)
def test_refusals_cve_2023_2431(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        container(**fields)


def test_refusals_of_a_sandbox() -> None:
    with pytest.raises(InvalidArgument, match="run_as_group: 5 without run_as_user"):
        sandbox(run_as_group=pb.Int64Value(value=5))
    with pytest.raises(InvalidArgument, match="pid: TARGET"):
        sandbox(namespace_options=pb.NamespaceOption(pid=TARGET, target_id="c"))
