"""Masked paths, seccomp, AppArmor, SELinux: as asked, as far as the host has them."""

from dataclasses import replace

import pytest

from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.model.security import ProfileType, SecurityProfile, SelinuxOptions
from criserver.spec.security import apparmor_profile, masked_paths, readonly_paths, seccomp_filter, selinux_labels
from criserver.spec.wish import HostFacts, Policy, SpecWish
from tests.support import wishes

POWERCAP = "/sys/devices/virtual/powercap"
DEFAULT, UNCONFINED = SecurityProfile(), SecurityProfile(ProfileType.UNCONFINED)
ARMOR = HostFacts(apparmor_profiles=frozenset({"ours", "theirs"}), apparmor_default="ours")


def localhost(reference: str) -> SecurityProfile:
    return SecurityProfile(ProfileType.LOCALHOST, reference)


def test_masked_paths_and_the_power_meters_ghsa_7ww5() -> None:
    assert masked_paths(wishes.secured(masked_paths=("/proc/kcore", "/proc//kcore"))) == ["/proc/kcore", POWERCAP]
    assert masked_paths(wishes.plain()) == [POWERCAP]
    assert masked_paths(wishes.privileged(wishes.secured(masked_paths=("/proc/kcore",)))) == []


def test_unmasked_in_a_user_namespace() -> None:
    wish = wishes.podded(namespace_options=replace(wishes.OWN_PID, userns=wishes.MAPPED))
    assert masked_paths(wish) == []
    assert POWERCAP in masked_paths(wishes.secured(wish, masked_paths=("/proc/kcore",)))


def test_read_only_paths() -> None:
    assert readonly_paths(wishes.secured(readonly_paths=("/proc/sys",))) == ["/proc/sys"]
    assert readonly_paths(wishes.privileged(wishes.secured(readonly_paths=("/proc/sys",)))) == []


@pytest.mark.parametrize("path", ["relative", "/a/../b", ""])
def test_paths_are_whole(path: str) -> None:
    with pytest.raises(InvalidArgument, match="masked_paths"):
        masked_paths(wishes.secured(masked_paths=(path,)))
    with pytest.raises(InvalidArgument, match="readonly_paths"):
        readonly_paths(wishes.secured(readonly_paths=(path,)))


@pytest.mark.parametrize("asked", [None, UNCONFINED])
def test_seccomp_unconfined(asked: SecurityProfile | None) -> None:
    assert seccomp_filter(wishes.secured(seccomp=asked)) is None


def test_seccomp_default_is_the_installed_one_else_the_built_in() -> None:
    installed = {"defaultAction": "SCMP_ACT_LOG"}
    own = wishes.secured(wishes.plain(host=HostFacts(seccomp_profile=installed)), seccomp=DEFAULT)
    result = seccomp_filter(own)
    assert result is not None
    assert result["defaultAction"] == "SCMP_ACT_LOG"
    of_the_handler = replace(own, policy=Policy(seccomp_profile={"defaultAction": "SCMP_ACT_TRAP"}))
    result = seccomp_filter(of_the_handler)
    assert result is not None
    assert result["defaultAction"] == "SCMP_ACT_TRAP"
    built_in = seccomp_filter(wishes.secured(seccomp=DEFAULT))
    assert built_in is not None
    assert built_in["defaultErrnoRet"] == 38


def test_seccomp_localhost() -> None:
    wish = wishes.secured(seccomp=localhost("/p.json"))
    result = seccomp_filter(replace(wish, seccomp_localhost={"defaultAction": "SCMP_ACT_TRAP"}))
    assert result is not None
    assert result["defaultAction"] == "SCMP_ACT_TRAP"
    with pytest.raises(InvalidArgument, match=r"'/p\.json' names no profile"):
        seccomp_filter(wish)


def test_empty_localhost_reference_is_not_unconfined_cve_2023_2431() -> None:
    wish = replace(wishes.secured(seccomp=localhost("")), seccomp_localhost={"defaultAction": "SCMP_ACT_ALLOW"})
    with pytest.raises(InvalidArgument, match="localhost_ref"):
        seccomp_filter(wish)


def test_seccomp_of_a_privileged_container_and_of_a_kernel_without() -> None:
    assert seccomp_filter(wishes.privileged(wishes.secured(seccomp=DEFAULT))) is None
    without = wishes.plain(host=HostFacts(seccomp=False))
    assert seccomp_filter(wishes.secured(without, seccomp=UNCONFINED)) is None
    with pytest.raises(FailedPrecondition, match="no seccomp"):
        seccomp_filter(wishes.secured(without, seccomp=DEFAULT))


def armored(asked: SecurityProfile | None, host: HostFacts = ARMOR) -> SpecWish:
    return wishes.secured(wishes.plain(host=host), apparmor=asked)


@pytest.mark.parametrize(
    ("asked", "profile"),
    [
        (None, "ours"),
        (DEFAULT, "ours"),
        (UNCONFINED, ""),
        (localhost("theirs"), "theirs"),
        (localhost("localhost/theirs"), "theirs"),
    ],
)
def test_apparmor(asked: SecurityProfile | None, profile: str) -> None:
    assert apparmor_profile(armored(asked)) == profile


@pytest.mark.parametrize(("asked", "profile"), [(None, ""), (DEFAULT, ""), (localhost("theirs"), "theirs")])
def test_apparmor_of_a_privileged_container(asked: SecurityProfile | None, profile: str) -> None:
    assert apparmor_profile(wishes.privileged(armored(asked))) == profile


def test_apparmor_refusals() -> None:
    for asked in (None, DEFAULT, UNCONFINED):
        assert apparmor_profile(armored(asked, HostFacts())) == ""
    with pytest.raises(FailedPrecondition, match="no AppArmor"):
        apparmor_profile(armored(localhost("theirs"), HostFacts()))
    with pytest.raises(FailedPrecondition, match="'other' is not loaded"):
        apparmor_profile(armored(localhost("other")))
    with pytest.raises(FailedPrecondition, match="is not loaded"):
        apparmor_profile(armored(DEFAULT, replace(ARMOR, apparmor_default="gone")))


SELINUX = HostFacts(selinux=True)


def test_selinux() -> None:
    wish = wishes.plain(host=SELINUX, selinux_level="s0:c1,c2")
    label = ("system_u:system_r:container_t:s0:c1,c2", "system_u:object_r:container_file_t:s0:c1,c2")
    assert selinux_labels(wish) == label
    own = wishes.secured(wish, selinux=SelinuxOptions(type="my_t", level="s0:c9"))
    assert selinux_labels(own)[0] == "system_u:system_r:my_t:s0:c9"
    assert selinux_labels(wishes.podded(wish, selinux=SelinuxOptions(user="u"))) == (
        "u:system_r:container_t:s0:c1,c2",
        "u:object_r:container_file_t:s0:c1,c2",
    )
    assert selinux_labels(wishes.privileged(wish))[0] == "system_u:system_r:spc_t:s0"


def test_selinux_is_ignored_where_the_host_has_none() -> None:
    assert selinux_labels(wishes.secured(selinux=SelinuxOptions(type="my_t"))) == ("", "")


@pytest.mark.parametrize("part", ["a b", 'a"', "a\n", "ü"])
def test_selinux_parts_are_words(part: str) -> None:
    with pytest.raises(InvalidArgument, match="selinux_options"):
        selinux_labels(wishes.secured(wishes.plain(host=SELINUX), selinux=SelinuxOptions(type=part)))


def test_apparmor_without_a_profile_of_the_servers_own() -> None:
    lacking = HostFacts(apparmor_profiles=frozenset({"theirs"}))
    assert apparmor_profile(wishes.plain(host=lacking)) == ""
    asked = wishes.secured(wishes.plain(host=lacking), apparmor=SecurityProfile(ProfileType.RUNTIME_DEFAULT))
    with pytest.raises(FailedPrecondition, match="RuntimeDefault asked for, but this server's profile is not loaded"):
        apparmor_profile(asked)
