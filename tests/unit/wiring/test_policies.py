"""The configuration as what `spec` takes; a key that cannot be used is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from criserver.config.schema import BlockIoClass, Handler, HandlerType, RuntimeConfig
from criserver.errors import ConfigError
from criserver.spec.capabilities import DEFAULT
from criserver.spec.wish import DefaultMount, Policy, Rlimit
from criserver.wiring.policies import default_sysctls, policies


def handled(**handler: Any) -> Policy:
    return policies(RuntimeConfig(handlers={"mine": Handler(**handler)}))["mine"]


def test_the_defaults_add_nothing() -> None:
    made = policies(RuntimeConfig())
    assert made == {"runc": Policy(minimum_memory=12 << 20), "crun": Policy(minimum_memory=500 << 10)}
    assert made["runc"].default_capabilities == DEFAULT


def test_keys_of_all_handlers(tmp_path: Path) -> None:
    runtime = RuntimeConfig(
        default_capabilities=("NET_BIND_SERVICE", "CAP_CHOWN"),
        default_env=("A=b",),
        default_ulimits=("nofile=1:2",),
        default_mounts=(f"{tmp_path}:/host:ro",),
        umask="0027",
        pids_limit=9,
        device_ownership_from_security_context=True,
    )
    policy = policies(runtime)["crun"]
    assert policy.default_capabilities == ("CAP_CHOWN", "CAP_NET_BIND_SERVICE")
    assert policy.default_env == ("A=b",) and policy.rlimits == (Rlimit("RLIMIT_NOFILE", 1, 2),)
    assert policy.mounts == (DefaultMount(str(tmp_path), "/host", ("ro",)),)
    assert (policy.umask, policy.pids_limit, policy.device_ownership_from_security_context) == (0o27, 9, True)
    assert policies(RuntimeConfig(default_capabilities=()))["runc"].default_capabilities == ()


def test_a_zone_is_the_file_itself() -> None:
    (mount,) = policies(RuntimeConfig(timezone="Local"))["runc"].mounts
    assert mount.destination == "/etc/localtime" and not Path(mount.source).is_symlink()
    with pytest.raises(ConfigError, match="runtime.timezone: .*No/Where is no file"):
        policies(RuntimeConfig(timezone="No/Where"))


def test_keys_of_one_handler(tmp_path: Path) -> None:
    (tmp_path / "seccomp.json").write_text('{"defaultAction": "SCMP_ACT_LOG"}')
    (tmp_path / "base.json").write_text('{"hooks": {}}')
    policy = handled(
        type=HandlerType.CRUN,
        annotations=("io.x/*",),
        seccomp_profile=f"{tmp_path}/seccomp.json",
        base_spec=f"{tmp_path}/base.json",
        privileged_without_host_devices=True,
        minimum_memory=5,
    )
    assert policy.allowed_annotations == {"io.x/*"} and policy.privileged_without_host_devices
    assert policy.seccomp_profile == {"defaultAction": "SCMP_ACT_LOG"} and policy.base == {"hooks": {}}
    assert policy.minimum_memory == 5


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("base_spec", "{", "cannot be used"),
        ("base_spec", "[]", "is not a JSON object"),
        ("base_spec", '{"mounts": 1}', "mounts is not a list"),
        ("seccomp_profile", "{}", "defaultAction is not one of"),
        ("seccomp_profile", " " * (2 << 20), "cannot be used"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, key: str, text: str, words: str) -> None:
    (tmp_path / "f.json").write_text(text)
    with pytest.raises(ConfigError, match=f"runtime.handlers.mine.{key}: .*{words}"):
        handled(**{key: f"{tmp_path}/f.json"})
    with pytest.raises(ConfigError, match=f"runtime.handlers.mine.{key}: .*No such file"):
        handled(**{key: f"{tmp_path}/missing.json"})


def test_what_spec_alone_can_judge() -> None:
    with pytest.raises(ConfigError, match="runtime.default_capabilities: .*'FLY' is not a capability"):
        policies(RuntimeConfig(default_capabilities=("FLY",)))
    with pytest.raises(ConfigError, match="runtime.default_mounts: /not/there is not there"):
        policies(RuntimeConfig(default_mounts=("/not/there:/x",)))
    with pytest.raises(ConfigError, match="runtime.default_sysctls: .*'kernel.core_pattern'"):
        default_sysctls(RuntimeConfig(default_sysctls=("kernel.core_pattern=x",)))
    with pytest.raises(ConfigError, match="runtime.default_sysctls: .*value"):
        default_sysctls(RuntimeConfig(default_sysctls=("net.ipv4.ip_forward=1+2",)))
    assert default_sysctls(RuntimeConfig(default_sysctls=("net/ipv4/ip_forward=1",))) == {"net.ipv4.ip_forward": "1"}


def test_classes_of_block_devices() -> None:
    devices = sorted(str(path) for path in Path("/dev").iterdir() if path.is_block_device())
    if not devices:
        pytest.skip("no block device in /dev")
    device, status = devices[0], Path(devices[0]).stat()
    group = BlockIoClass(weight=20, read_bps=(f"{device} 1M",), write_iops=(f"{device} 5",))
    rate = {"major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev)}
    assert policies(RuntimeConfig(block_io_classes={"slow": group}))["runc"].block_io == {
        "slow": {
            "weight": 20,
            "throttleReadBpsDevice": [{**rate, "rate": 1_000_000}],
            "throttleWriteIOPSDevice": [{**rate, "rate": 5}],
        }
    }
    for path, words in (("/dev/null", "is no block device"), ("/dev/none", "No such file")):
        with pytest.raises(ConfigError, match=f"runtime.block_io_classes.x: {path}.*{words}"):
            policies(RuntimeConfig(block_io_classes={"x": BlockIoClass(read_bps=(f"{path} 1",))}))
