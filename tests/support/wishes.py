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
from criserver.model.edits import NO_EDITS, EditedDevice, EditedMount, Edits, Hook, HookRule
from criserver.model.host import HostDevice, SourcePropagation
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
from criserver.spec.capabilities import ALL, DEFAULT
from criserver.spec.wish import DefaultMount, HostFacts, Policy, ResolvedDevice, ResolvedMount, Rlimit, SpecWish

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


Bad = st.SearchStrategy[Any]

NASTY: Bad = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", "/", "..", "/../etc", "a\0b", "a\nb", "\ud800", "/proc", "//x", "=", ":", "root", "0", "-1"]),
)
"""Text that breaks what trusts it."""

EXTREME: Bad = st.integers(-(2**63), 2**64)
NONE: Bad = st.nothing()
"""In place of the two above: only what has a meaning."""

KINDS = ("net", "ipc", "uts", "pid", "user")


def _of(*good: Any, bad: Bad = NONE) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from(good), bad)


def _few(of: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Any]:
    return st.lists(of, max_size=most, unique_by=repr).map(tuple)


def _namespaces(text: Bad) -> st.SearchStrategy[NamespaceOptions]:
    shared = _of(NamespaceMode.POD, NamespaceMode.NODE, bad=_if(text, st.sampled_from(NamespaceMode)))
    pid = _of(
        NamespaceMode.CONTAINER, NamespaceMode.NODE, NamespaceMode.TARGET, bad=_if(text, st.just(NamespaceMode.POD))
    )
    mappings = _few(st.builds(IdMapping, *[st.integers(0, 2**32)] * 3), 2)
    userns = _of(None, bad=_if(text, st.builds(UserNamespace, st.sampled_from(NamespaceMode), mappings, mappings)))
    return st.builds(NamespaceOptions, shared, pid, shared, st.just(""), userns)


def _if(bad: Bad, then: Bad) -> Bad:
    """`then` where bad values are wanted at all."""
    return NONE if bad.is_empty else then


def _security(text: Bad, options: st.SearchStrategy[NamespaceOptions]) -> st.SearchStrategy[ContainerSecurity]:
    names = _few(_of("ALL", "NET_ADMIN", "CAP_SYS_ADMIN", "chown", bad=text))
    paths = _few(_of("/proc/kcore", "/sys/firmware", "/etc", "/none", bad=text))
    default, unconfined = SecurityProfile(), SecurityProfile(ProfileType.UNCONFINED)
    bad_profile = _if(text, st.builds(SecurityProfile, st.sampled_from(ProfileType), text))
    return st.builds(
        ContainerSecurity,
        namespace_options=options,
        capabilities=st.builds(Capabilities, names, names, _if(text, names) | st.just(())),
        privileged=st.booleans(),
        selinux=_of(None, bad=_if(text, st.builds(SelinuxOptions, text, text, text, text))),
        readonly_rootfs=st.booleans(),
        no_new_privs=st.booleans(),
        masked_paths=paths,
        readonly_paths=paths,
        seccomp=_of(None, default, unconfined, bad=bad_profile),
        apparmor=_of(None, unconfined, bad=bad_profile),
    )


def _resources(text: Bad, number: Bad) -> st.SearchStrategy[LinuxResources]:
    memory = _of(0, 64 << 20, 256 << 20, bad=number)
    pages = st.builds(HugepageLimit, _of("2MB", "1GB", bad=text), _of(0, bad=number))
    return st.builds(
        LinuxResources,
        _of(0, 100_000, 10_000, bad=number),
        _of(0, -1, 1000, 50_000, bad=number),
        _of(0, 2, 1024, 262144, bad=number),
        memory,
        _of(0, bad=number),
        _of(0, 100, 1000, -998, bad=number),
        _of("", "0", bad=text),
        _of("", "0", bad=text),
        _few(pages, 2),
        _if(text, st.dictionaries(text, text, max_size=2)) | st.just({}),
    )


def _mounts(text: Bad, sources: tuple[str, ...]) -> st.SearchStrategy[ResolvedMount]:
    where = _of("/a", "/a/b", "/dev/shm", "/sys", "/usr/share/x", bad=_if(text, _of("/proc/meminfo", "/dev", bad=text)))
    readonly = st.booleans()
    mount = st.builds(
        Mount,
        where,
        _of(*sources, bad=text),
        readonly,
        st.booleans(),
        _of(Propagation.PRIVATE, bad=_if(text, st.sampled_from(Propagation))),
        recursive_read_only=_of(False, bad=_if(text, st.booleans())),
        image=_of(None, bad=_if(text, st.just(ImageSpec("i")))),
        mount_options=_few(_of("noexec", "nosuid", "nodev", "noatime", bad=text), 2),
    )
    return st.builds(lambda m, p: ResolvedMount(m, m.host_path, p), mount, st.sampled_from(SourcePropagation))


def _devices(text: Bad, number: Bad) -> st.SearchStrategy[ResolvedDevice]:
    asked = st.builds(Device, _of("/dev/f", "/dev/x/y", bad=text), st.just("/dev/fuse"), _of("r", "rwm", bad=text))
    odd = _if(text, st.builds(HostDevice, text, st.sampled_from("cbp"), number, number))
    return st.builds(ResolvedDevice, asked, _of(FUSE, NULL, bad=odd))


def _host(text: Bad) -> st.SearchStrategy[HostFacts]:
    return st.builds(
        HostFacts,
        cgroup_v2=st.booleans(),
        capabilities=st.sets(st.sampled_from(ALL)).map(frozenset),
        oom_score_adj=st.integers(-1000, 1000),
        machine=_of("x86_64", "aarch64", "s390x", bad=text),
        seccomp=_of(True, bad=_if(text, st.booleans())),
        apparmor_profiles=_of(None, frozenset({"known"}), bad=NONE),
        apparmor_default=_of("known", bad=text),
        selinux=st.booleans(),
        swap_accounting=st.booleans(),
        hugepage_sizes=_of(frozenset(), frozenset({"2MB"})),
        devices=st.just((NULL, FUSE, DISK)),
        recursive_read_only=st.booleans(),
        idmapped_mounts=st.booleans(),
        maps_single_mounts=st.booleans(),
    )


def _edits(text: Bad, number: Bad, sources: tuple[str, ...]) -> st.SearchStrategy[Edits]:
    """What CDI files may say."""
    device = st.builds(
        EditedDevice,
        _of("/dev/card", "/dev/x/y", "/dev/fuse", bad=text),
        _of("c", bad=_if(text, st.sampled_from("bcup"))),
        _of(10, bad=number),
        _of(229, bad=number),
        _of(None, 0o660, bad=number),
        _of("rw", "rwm", bad=text),
        _of(None, 0, 7, bad=number),
        _of(None, 7, bad=number),
    )
    place = _of("/opt/driver", "/a", "/usr", bad=text)
    bound = st.builds(EditedMount, _of(*sources, bad=text), place, options=_of((), ("ro", "bind")))
    fresh = st.builds(EditedMount, st.just("t"), _of("/opt/t", bad=text), _of("tmpfs", bad=text), _of((), ("size=4k",)))
    return st.builds(
        Edits,
        env=_few(_of("CARD=yes", "A=edited", bad=_if(text, text)), 2),
        devices=_few(device, 2),
        mounts=_few(bound | fresh, 2),
        hooks=_few(st.builds(Hook, _of(("createRuntime",), ("prestart", "poststop")), st.just("/bin/cat"))),
        gids=_few(_of(0, 5, 44, bad=number)),
    )


BASE: dict[str, Any] = {
    "process": {"env": ["BASE=1", "A=base"], "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}]},
    "mounts": [{"destination": "/usr", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}],
    "hooks": {"poststop": [{"path": "/bin/cat"}]},
    "linux": {"resources": {"pids": {"limit": 50}}},
}
"""A base document that the runtimes take."""

# Hooks read what they are given: crun fails when one ends before it has told it everything.
RULES = (HookRule(Hook(("poststart",), "/bin/cat"), always=True), HookRule(Hook(("prestart",), "/no/such/hook")))
"""Rules of hooks directories: one that matches, and one that never does."""


def _policy(text: Bad, number: Bad, sources: tuple[str, ...] = ("/srv",)) -> st.SearchStrategy[Policy]:
    options = _of(("ro",), ("rw", "noexec"))
    mount = st.builds(DefaultMount, st.sampled_from(sources), _of("/conf", "/a", bad=text), options)
    return st.builds(
        Policy,
        default_capabilities=_of((), DEFAULT, ("CAP_CHOWN",)),
        mounts=_few(mount, 2),
        seccomp_profile=_of(None, {"defaultAction": "SCMP_ACT_ALLOW"}, bad=_if(text, st.just({"defaultAction": 3}))),
        base=_of(None, BASE),
        default_env=_few(_of("A=b", bad=text), 1),
        rlimits=_few(st.builds(Rlimit, _of("RLIMIT_NOFILE", bad=text), _of(64, bad=number), _of(1024, bad=number)), 1),
        pids_limit=_of(0, 100, bad=number),
        umask=_of(None, 0o22, 0o777),
        allowed_annotations=st.sets(_of("x.io/y", bad=text), max_size=2).map(frozenset),
        privileged_without_host_devices=st.booleans(),
        device_ownership_from_security_context=st.booleans(),
    )


@st.composite
def wishes(
    draw: st.DrawFn, *, hostile: bool, host: HostFacts | None = None, sources: tuple[str, ...] = ("/srv",)
) -> SpecWish:
    """All that a request can say: `hostile` with anything that the types allow, else only what has a meaning.

    `sources` are directories of the host that mounts may take, `host` the facts of a real host.
    """
    text, number = (NASTY, EXTREME) if hostile else (NONE, NONE)
    options = draw(_namespaces(text))
    pod = options if not hostile else draw(st.one_of(st.just(options), _namespaces(text)))
    security = draw(_security(text, st.just(options)))
    mounts = draw(_few(_mounts(text, sources)))
    devices = draw(_few(_devices(text, number)))
    config = ContainerConfig(
        metadata=ContainerMetadata(draw(_of("web", bad=text))),
        image=ImageSpec(draw(_of("example.org/web", bad=text))),
        command=draw(_of(("/bin/true",), ("/bin/sh", "-c"), bad=_if(text, _few(text)))),
        args=draw(_few(_of("a", "ü", "new\nline", bad=text))),
        working_dir=draw(_of("", "/", "/tmp", bad=text)),
        envs=draw(_few(st.tuples(_of("A", "HOME", bad=text), _of("b", "", "/x=y", bad=text)))),
        mounts=tuple(resolved.mount for resolved in mounts),
        devices=tuple(resolved.device for resolved in devices),
        annotations=draw(st.dictionaries(_of("x.io/y", "org.systemd.property.X", bad=text), _of("z", bad=text))),
        tty=draw(st.booleans()),
        resources=draw(_resources(text, number)),
        security=security,
    )
    allowed = security.privileged or draw(st.booleans())
    image = st.builds(
        ImageDefaults, _of("", bad=text), _few(_of("A=b", "NO", bad=text)), _few(_of("/init", bad=text)), st.just(())
    )
    return SpecWish(
        container_id="c1",
        sandbox_id="s1",
        config=config,
        sandbox=SandboxConfig(
            PodMetadata(draw(_of("pod", bad=text)), "uid", "ns"), security=SandboxSecurity(pod, privileged=allowed)
        ),
        image=draw(image),
        rootfs="/rootfs",
        cgroups_path="/pods/c1",
        user=draw(st.builds(ProcessUser, _of(0, 1000), _of(0, 5), _few(_of(0, 5, 7)))),
        home=draw(_of("", "/root", bad=text)),
        hostname=draw(_of("", "pod", bad=text)),
        namespaces=draw(_of({kind: f"/run/ns/{kind}" for kind in KINDS}, bad=_if(text, st.just({})))),
        mounts=mounts,
        volumes=draw(_few(st.tuples(_of("/v", "/a", bad=text), st.sampled_from(sources[:1])), 2)),
        devices=devices,
        seccomp_localhost=draw(_of(None, bad=_if(text, st.sampled_from([{}, {"defaultAction": 3}])))),
        selinux_level=draw(_of("", "s0:c1,c2")),
        host=host or draw(_host(text)),
        policy=draw(_policy(text, number, sources)),
        edits=draw(_of(NO_EDITS) | _edits(text, number, sources)),
        hooks=draw(_few(_of(*RULES))),
    )
