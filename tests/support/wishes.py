"""Wishes for config.json: a plain one to change, and hypothesis strategies for all that a request can say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from criserver.model.container import (
    ContainerConfig,
    ContainerMetadata,
    Device,
    ImageSpec,
    Mount,
    ProcessUser,
    Propagation,
)
from criserver.model.image import ImageDefaults
from criserver.model.resources import HugepageLimit, LinuxResources
from criserver.model.sandbox import PodMetadata, SandboxConfig
from criserver.model.security import (
    Capabilities,
    ContainerSecurity,
    IdMapping,
    NamespaceMode,
    NamespaceOptions,
    ProfileType,
    SandboxSecurity,
    SecurityProfile,
    SelinuxOptions,
    UserNamespace,
)
from criserver.spec import (
    HostDevice,
    HostFacts,
    Policy,
    ResolvedDevice,
    ResolvedMount,
    Rlimit,
    SandboxFiles,
    SourcePropagation,
    SpecWish,
)
from criserver.spec.capabilities import ALL

OWN_PID = NamespaceOptions(pid=NamespaceMode.CONTAINER)
NULL = HostDevice("/dev/null", "c", 1, 3, 0o666)
FUSE = HostDevice("/dev/fuse", "c", 10, 229, 0o666)
DISK = HostDevice("/dev/vda", "b", 254, 0, 0o660, 0, 6)
MAPPED = UserNamespace(NamespaceMode.POD, (IdMapping(100000, 0, 65536),), (IdMapping(100000, 0, 65536),))


def plain(**changes: Any) -> SpecWish:
    """A container with nothing special, as a pod of the kubelet has it; `changes` replace fields of the wish."""
    wish = SpecWish(
        container_id="c1",
        sandbox_id="s1",
        config=ContainerConfig(
            metadata=ContainerMetadata("web"),
            image=ImageSpec("example.org/web:1"),
            command=("/bin/true",),
            security=ContainerSecurity(namespace_options=OWN_PID),
        ),
        sandbox=SandboxConfig(PodMetadata("pod", "uid-1", "default"), security=SandboxSecurity(OWN_PID)),
        image=ImageDefaults(),
        rootfs="/rootfs",
        cgroups_path="/kubepods/c1",
        hostname="pod",
        namespaces={kind: f"/run/ns/{kind}" for kind in ("net", "ipc", "uts", "pid", "user")},
    )
    return replace(wish, **changes)


def asking(wish: SpecWish | None = None, **changes: Any) -> SpecWish:
    """A wish whose ContainerConfig has `changes`."""
    wish = wish or plain()
    return replace(wish, config=replace(wish.config, **changes))


def secured(wish: SpecWish | None = None, **changes: Any) -> SpecWish:
    """A wish whose container's security context has `changes`."""
    wish = wish or plain()
    return asking(wish, security=replace(wish.config.security, **changes))


def podded(wish: SpecWish | None = None, **changes: Any) -> SpecWish:
    """A wish whose sandbox's security context has `changes`."""
    wish = wish or plain()
    return replace(wish, sandbox=replace(wish.sandbox, security=replace(wish.sandbox.security, **changes)))


def privileged(wish: SpecWish | None = None) -> SpecWish:
    """A wish for a privileged container in a pod that allows it."""
    return podded(secured(wish, privileged=True), privileged=True)


def mounting(mount: Mount, wish: SpecWish | None = None, **resolved: Any) -> SpecWish:
    """A wish with one mount, found on the host."""
    wish = asking(wish, mounts=(mount,))
    return replace(wish, mounts=(ResolvedMount(mount, mount.host_path or "/image", **resolved),))


NASTY = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "/", "..", "/../etc", "a\0b", "a\nb", "\ud800", "/proc", "//x", "=", ":", "root", "0", "-1"]),
)
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1, 2, 1000, 100000, 1 << 26]))
PATHS = st.one_of(NASTY, st.sampled_from(["/a", "/a/b", "/dev", "/dev/x", "/sys", "/proc/meminfo", "/etc/hosts"]))


def _few(of: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Any]:
    return st.lists(of, max_size=most).map(tuple)


def _modes() -> st.SearchStrategy[NamespaceMode]:
    return st.sampled_from(NamespaceMode)


MAPPINGS = _few(st.builds(IdMapping, st.integers(0, 2**32), st.integers(0, 2**32), st.integers(0, 2**32)), 2)
NAMESPACES = st.builds(
    NamespaceOptions,
    _modes(),
    _modes(),
    _modes(),
    NASTY,
    st.one_of(st.none(), st.just(MAPPED), st.builds(UserNamespace, _modes(), MAPPINGS, MAPPINGS)),
)
PROFILES = st.one_of(st.none(), st.builds(SecurityProfile, st.sampled_from(ProfileType), NASTY))
CAPABILITIES = _few(st.one_of(st.sampled_from(["ALL", "NET_ADMIN", "CAP_SYS_ADMIN", "chown"]), NASTY))
SELINUX = st.one_of(st.none(), st.builds(SelinuxOptions, NASTY, NASTY, NASTY, NASTY))
SECURITY = st.builds(
    ContainerSecurity,
    namespace_options=NAMESPACES,
    capabilities=st.builds(Capabilities, CAPABILITIES, CAPABILITIES, st.one_of(st.just(()), CAPABILITIES)),
    privileged=st.booleans(),
    selinux=SELINUX,
    run_as_user=st.one_of(st.none(), st.integers(0, 70000)),
    readonly_rootfs=st.booleans(),
    no_new_privs=st.booleans(),
    masked_paths=_few(PATHS),
    readonly_paths=_few(PATHS),
    seccomp=PROFILES,
    apparmor=PROFILES,
)
RESOURCES = st.builds(
    LinuxResources,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.integers(-1100, 1100),
    st.one_of(NASTY, st.just("0-1")),
    st.one_of(NASTY, st.just("0")),
    _few(st.builds(HugepageLimit, st.one_of(NASTY, st.just("2MB")), st.integers(0, 2**64))),
    st.dictionaries(st.one_of(NASTY, st.just("memory.high")), NASTY, max_size=2),
)
MOUNTS = st.builds(
    Mount,
    PATHS,
    PATHS,
    st.booleans(),
    st.booleans(),
    st.sampled_from(Propagation),
    st.one_of(st.just(()), MAPPINGS),
    st.one_of(st.just(()), MAPPINGS),
    st.booleans(),
    st.one_of(st.none(), st.just(ImageSpec("i"))),
    NASTY,
    _few(st.one_of(st.sampled_from(["noexec", "ro", "rw"]), NASTY), 2),
)
DEVICES = st.builds(
    ResolvedDevice,
    st.builds(Device, PATHS, PATHS, st.one_of(st.sampled_from(["r", "rwm"]), NASTY)),
    st.builds(HostDevice, PATHS, st.sampled_from("cbp"), st.integers(0, 4095), st.integers(0, 4095)),
)
IMAGES = st.builds(
    ImageDefaults, NASTY, _few(st.one_of(NASTY, st.just("A=b"))), _few(NASTY), _few(NASTY), PATHS, NASTY, _few(PATHS)
)
HOSTS = st.builds(
    HostFacts,
    cgroup_v2=st.booleans(),
    capabilities=st.sets(st.sampled_from(ALL)).map(frozenset),
    oom_score_adj=st.integers(-1000, 1000),
    machine=st.sampled_from(["x86_64", "aarch64", "s390x", "mips"]),
    seccomp=st.booleans(),
    apparmor_profiles=st.one_of(st.none(), st.just(frozenset({"known"}))),
    apparmor_default=st.sampled_from(["", "known", "unknown"]),
    selinux=st.booleans(),
    swap_accounting=st.booleans(),
    hugepage_sizes=st.sampled_from([frozenset(), frozenset({"2MB"})]),
    devices=st.just((NULL, FUSE, DISK)),
    recursive_read_only=st.booleans(),
    idmapped_mounts=st.booleans(),
)
POLICIES = st.builds(
    Policy,
    default_env=_few(NASTY, 1),
    rlimits=_few(st.builds(Rlimit, st.one_of(st.just("RLIMIT_NOFILE"), NASTY), NUMBERS, NUMBERS), 1),
    pids_limit=st.integers(-1, 100),
    minimum_memory=st.integers(0, 1 << 25),
    umask=st.one_of(st.none(), st.integers(0, 0o777)),
    allowed_annotations=st.sets(NASTY, max_size=2).map(frozenset),
    privileged_without_host_devices=st.booleans(),
    device_ownership_from_security_context=st.booleans(),
)


@st.composite
def hostile_wishes(draw: st.DrawFn) -> SpecWish:
    """Anything that the types allow, with values that break what trusts them."""
    mounts = draw(_few(MOUNTS))
    config = ContainerConfig(
        metadata=ContainerMetadata(draw(NASTY)),
        image=ImageSpec(draw(NASTY)),
        command=draw(_few(st.one_of(NASTY, st.just("/bin/true")))),
        args=draw(_few(NASTY)),
        working_dir=draw(PATHS),
        envs=draw(_few(st.tuples(st.one_of(NASTY, st.just("HOME")), NASTY))),
        mounts=mounts,
        annotations=draw(st.dictionaries(NASTY, NASTY, max_size=2)),
        tty=draw(st.booleans()),
        resources=draw(st.one_of(st.just(LinuxResources()), RESOURCES)),
        security=draw(SECURITY),
    )
    pod = SandboxSecurity(draw(NAMESPACES), draw(SELINUX), privileged=draw(st.booleans()))
    sources = draw(_few(st.sampled_from(SourcePropagation), len(mounts)))
    return SpecWish(
        container_id="c1",
        sandbox_id="s1",
        config=config,
        sandbox=SandboxConfig(PodMetadata(draw(NASTY), draw(NASTY), "ns"), security=pod),
        image=draw(IMAGES),
        rootfs="/rootfs",
        cgroups_path="/pods/c1",
        user=draw(st.builds(ProcessUser, st.integers(0, 70000), st.integers(0, 70000), _few(st.integers(0, 70000)))),
        home=draw(PATHS),
        hostname=draw(NASTY),
        namespaces=draw(
            st.sampled_from([{}, {kind: f"/run/ns/{kind}" for kind in ("net", "ipc", "uts", "pid", "user")}])
        ),
        files=draw(st.sampled_from([SandboxFiles(), SandboxFiles("/h", "/r", "/n", "/shm")])),
        mounts=tuple(ResolvedMount(m, m.host_path, s) for m, s in zip(mounts, sources, strict=False)),
        volumes=draw(_few(st.tuples(PATHS, st.just("/volume")))),
        devices=draw(_few(DEVICES)),
        seccomp_localhost=draw(st.sampled_from([None, {}, {"defaultAction": "SCMP_ACT_ALLOW"}, {"defaultAction": 3}])),
        selinux_level=draw(st.sampled_from(["", "s0:c1,c2"])),
        host=draw(HOSTS),
        policy=draw(POLICIES),
    )
