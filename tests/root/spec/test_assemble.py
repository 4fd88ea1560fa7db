"""Real runtimes take the documents, and what they say is so inside the container."""

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from criserver.model.container import Mount, ProcessUser
from criserver.model.resources import LinuxResources
from criserver.model.security import (
    Capabilities,
    NamespaceMode,
    NamespaceOptions,
    ProfileType,
    SecurityProfile,
)
from criserver.spec.assemble import build
from criserver.spec.process import exec_process
from criserver.spec.wish import HostFacts, ResolvedMount, SandboxFiles, SpecWish
from tests.root.spec.conftest import USERNS_ROOT, Pod
from tests.support import wishes


def shell(pod: Pod, script: str, wish: SpecWish | None = None) -> list[str]:
    """Lines that a shell in the container writes."""
    done = pod.run(pod.wish(wishes.asking(wish, command=("/bin/sh", "-c", script))))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # a wish is long to print
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # shrinking would start containers for minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(wish=wishes.wishes(hostile=False, host=HostFacts(), sources=("/srv",)))
def test_random_documents_are_taken(pod: Pod, wish: SpecWish) -> None:
    if wish.config.tty:
        wish = wishes.asking(wish, tty=False)
    wish = pod.wish(wish)
    try:
        assert pod.create(wish) == ""
    finally:
        pod.delete(wish)


def test_capabilities_seccomp_and_identity(pod: Pod) -> None:
    wish = wishes.secured(seccomp=SecurityProfile(), no_new_privs=True)
    wish = replace(wish, user=ProcessUser(1000, 1000, (7, 1000)))
    lines = shell(pod, "id; grep -E '^(CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status; ls /proc/self/fd", wish)
    assert lines[0] == "uid=1000 gid=1000 groups=7,1000"
    assert [line.split()[1] for line in lines[1:5]] == ["0" * 16, "0" * 16, "1", "2"]
    # 3 is the directory that ls itself reads.
    assert lines[5:] == ["0", "1", "2", "3"]


def test_builtin_seccomp_profile_lets_a_shell_live_and_forbids_mounts(pod: Pod) -> None:
    wish = wishes.secured(seccomp=SecurityProfile(), capabilities=Capabilities(add=("SYS_ADMIN",)))
    script = "echo lives; mount -t tmpfs x /tmp 2>&1; true"
    pod.host = replace(pod.host, seccomp_profile=None)
    assert shell(pod, script, wish) == ["lives"]
    without = shell(pod, script, wishes.secured(wish, capabilities=Capabilities()))
    assert without[0] == "lives"
    assert "mount" in without[1]
    assert "denied" in without[1]


def test_exec_is_as_confined_as_the_container(pod: Pod) -> None:
    wish = wishes.secured(wishes.asking(command=("/bin/sleep", "60")), seccomp=SecurityProfile())
    wish = pod.wish(replace(wish, user=ProcessUser(33, 33, (33,))))
    try:
        assert pod.create(wish) == ""
        process = exec_process(build(wish)["process"], ("/bin/sh", "-c", "id; cat /proc/self/status"), tty=False)
        lines = pod.exec(wish, process).splitlines()
    finally:
        pod.delete(wish)
    assert lines[0] == "uid=33 gid=33 groups=33"
    status = dict(line.split(":\t", 1) for line in lines[1:])
    assert status["CapInh"] == status["CapAmb"] == "0" * 16
    assert status["Seccomp"].strip() == "2"


def test_paths_are_masked_and_read_only(pod: Pod) -> None:
    (pod.path / "rootfs/etc/secret").write_text("secret")
    wish = wishes.secured(masked_paths=("/etc/secret", "/proc/kcore"), readonly_paths=("/tmp",))
    lines = shell(pod, "cat /etc/secret; touch /tmp/x 2>&1; mount | grep -c 'on /sys type sysfs (ro'; true", wish)
    assert lines == ["touch: /tmp/x: Read-only file system", "1"]


def test_read_only_root_and_files_of_the_pod(pod: Pod) -> None:
    for name in ("hosts", "resolv.conf", "hostname"):
        (pod.path / name).write_text(f"the pod's {name}\n")
    (pod.path / "shm").mkdir()
    at = str(pod.path)
    files = SandboxFiles(f"{at}/hosts", f"{at}/resolv.conf", f"{at}/hostname", f"{at}/shm")
    for name in ("hosts", "resolv.conf", "hostname"):
        (pod.path / "rootfs/etc" / name).touch()
    wish = replace(wishes.secured(readonly_rootfs=True), files=files)
    lines = shell(pod, "cat /etc/hosts /etc/resolv.conf /etc/hostname; touch /x 2>&1; touch /dev/shm/ours", wish)
    assert lines[:3] == ["the pod's hosts", "the pod's resolv.conf", "the pod's hostname"]
    assert "Read-only" in lines[3]
    assert (pod.path / "shm/ours").exists()


def test_mounts_of_the_request(pod: Pod) -> None:
    (pod.path / "data/deep").mkdir(parents=True)
    (pod.path / "other").mkdir()
    mounts = (
        Mount("/a/deep", str(pod.path / "other")),
        Mount("/a", str(pod.path / "data"), readonly=True, mount_options=("noexec",)),
    )
    wish = wishes.asking(mounts=mounts)
    wish = replace(wish, mounts=tuple(ResolvedMount(mount, mount.host_path) for mount in mounts))
    lines = shell(pod, "touch /a/x 2>&1; touch /a/deep/y; mount | grep ' on /a type'", wish)
    assert "Read-only" in lines[0]
    assert (pod.path / "other/y").exists()
    assert "noexec" in lines[1]


def test_privileged(pod: Pod) -> None:
    held = build(pod.wish(wishes.privileged()))["process"]["capabilities"]["bounding"]
    assert len(held) == len(pod.host.capabilities)
    lines = shell(pod, "mount -t tmpfs x /tmp && echo mounted; ls /dev", wishes.privileged())
    assert lines[0] == "mounted"
    assert {os.path.basename(device.path) for device in pod.host.devices if device.path.count("/") == 2} <= set(lines)


def test_devices_are_denied_unless_given(pod: Pod) -> None:
    disk = next((device for device in pod.host.devices if device.type == "b"), None)
    if disk is None:
        pytest.skip("this host has no block device")
    script = f"[ -e {disk.path} ] && echo there; cat /dev/null && echo null"
    assert shell(pod, script) == ["null"]


def test_limits_reach_the_cgroup(pod: Pod) -> None:
    limits = LinuxResources(
        cpu_period=100_000, cpu_quota=50_000, cpu_shares=512, memory_limit_in_bytes=64 << 20, oom_score_adj=500
    )
    files = (
        ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/memory.max")
        if pod.host.cgroup_v2
        else ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    )
    lines = shell(pod, f"cat {' '.join(files)} /proc/self/oom_score_adj", wishes.asking(resources=limits))
    assert lines[0].startswith("50000")
    assert lines[1:] == [str(64 << 20), "500"]


def test_oom_score_below_the_daemons_own(pod: Pod) -> None:
    lines = shell(pod, "cat /proc/self/oom_score_adj", wishes.asking(resources=LinuxResources(oom_score_adj=-998)))
    expected = -998 if "CAP_SYS_RESOURCE" in pod.host.capabilities else max(-998, pod.host.oom_score_adj)
    assert lines == [str(expected)]


@pytest.mark.parametrize("mode", [NamespaceMode.NODE, NamespaceMode.CONTAINER, NamespaceMode.TARGET])
def test_pid_namespaces(pod: Pod, mode: NamespaceMode) -> None:
    wish = wishes.secured(namespace_options=NamespaceOptions(pid=mode, target_id="c0"))
    (line,) = shell(pod, "echo $(cat /proc/1/cmdline)", wish)
    assert ("sleep600" in line.replace("\0", "")) == (mode is NamespaceMode.TARGET)
    assert ("echo" in line) == (mode is NamespaceMode.CONTAINER)


def test_cgroup_namespace_hides_the_hosts_tree(pod: Pod) -> None:
    paths = {line.split(":")[2] for line in shell(pod, "cat /proc/self/cgroup")}
    assert paths == {"/"}


def test_unconfined_and_localhost_seccomp(pod: Pod) -> None:
    wish = wishes.secured(seccomp=SecurityProfile(ProfileType.LOCALHOST, "/profile.json"))
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
    }
    blocked = shell(pod, "busybox mkdir /tmp/x 2>&1; true", replace(wish, seccomp_localhost=profile))
    assert "not supported" in blocked[0]
    free = wishes.secured(seccomp=SecurityProfile(ProfileType.UNCONFINED))
    assert shell(pod, "busybox mkdir /tmp/x && echo made", free) == ["made"]


def test_user_namespace(userns_pod: Pod) -> None:
    options = replace(wishes.OWN_PID, userns=wishes.MAPPED)
    wish = wishes.podded(wishes.secured(namespace_options=options), namespace_options=options)
    lines = shell(userns_pod, "cat /proc/self/uid_map; id; stat -c %u /bin", wish)
    assert lines[0].split() == ["0", str(USERNS_ROOT), "65536"]
    assert lines[1].startswith("uid=0 gid=0")
    assert lines[2] == "0"
