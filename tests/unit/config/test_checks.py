from dataclasses import replace
from typing import Any

import pytest

from criserver.config.checks import SOCKET_PATH_MAX, faults
from criserver.config.schema import (
    BlockIoClass,
    Config,
    Handler,
    ImageConfig,
    MetricsConfig,
    NetworkConfig,
    RuntimeConfig,
    StatsConfig,
    StreamingConfig,
)

SLOW = BlockIoClass(read_bps=("/dev/sda",))


def handled(**keys: Any) -> Config:
    """A configuration with a handler x."""
    return Config(runtime=RuntimeConfig(handlers={"x": Handler(**keys)}))


def test_the_defaults_have_no_fault() -> None:
    assert list(faults(Config())) == []


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("listen", Config(listen="/run/x.sock")),
        ("listen", Config(listen="tcp://127.0.0.1:80")),
        ("listen", Config(listen="unix://run/x.sock")),
        ("listen", Config(listen="unix:////run/x.sock")),
        ("listen", Config(listen="unix:///" + "x" * SOCKET_PATH_MAX)),
        ("root", Config(root="lib")),
        ("root", Config(root="/var/../lib")),
        ("root", Config(root="/var/lib/")),
        ("root", Config(root="/var/\0lib")),
        ("root", Config(root="/")),
        ("state", Config(state="")),
        ("root", Config(root="/a", state="/a")),
        ("root", Config(root="/a", state="/a/b")),
        ("state", Config(root="/a/b", state="/a")),
        ("network.conf_dir", Config(network=NetworkConfig(conf_dir="net.d"))),
        ("network.bin_dirs", Config(network=NetworkConfig(bin_dirs=("/opt/cni", "bin")))),
        ("network.bin_dirs", Config(network=NetworkConfig(bin_dirs=()))),
        ("network.plugin_timeout", Config(network=NetworkConfig(plugin_timeout=0))),
        ("network.plugin_timeout", Config(network=NetworkConfig(plugin_timeout=float("nan")))),
        ("image.store", Config(image=ImageConfig(store="images"))),
        ("image.store", Config(image=ImageConfig(store="/"))),
        ("image.store", Config(image=ImageConfig(store="/run/criserver"))),
        ("image.store", Config(image=ImageConfig(store="/run/criserver/images"))),
        ("image.store", Config(image=ImageConfig(store="/run"))),
        ("image.additional_stores", Config(image=ImageConfig(additional_stores=("store",)))),
        ("image.additional_stores", Config(image=ImageConfig(additional_stores=("/var/lib/criserver",)))),
        ("image.additional_stores", Config(image=ImageConfig(additional_stores=("/var/lib/criserver/x",)))),
        ("image.additional_stores", Config(image=ImageConfig(store="/mnt/a", additional_stores=("/mnt",)))),
        ("image.additional_stores", Config(image=ImageConfig(additional_stores=tuple(f"/{n}" for n in range(21))))),
        ("image.policy", Config(image=ImageConfig(policy="policy.json"))),
        ("image.skopeo", Config(image=ImageConfig(skopeo="./skopeo"))),
        ("runtime.default_handler", Config(runtime=RuntimeConfig(default_handler="kata"))),
        ("runtime.handlers.x.path", Config(runtime=RuntimeConfig(handlers={"runc": Handler(), "x": Handler("a/b")}))),
        ("runtime.handlers", Config(runtime=RuntimeConfig(handlers={"runc": Handler(), "a/b": Handler()}))),
        ("runtime.handlers", Config(runtime=RuntimeConfig(handlers={"auto": Handler()}))),
        ("runtime.handlers.x.root", handled(root="run")),
        ("runtime.handlers.x.base_spec", handled(base_spec="b.json")),
        ("runtime.handlers.x.minimum_memory", handled(minimum_memory=-1)),
        *(
            ("runtime.handlers.x.annotations", handled(annotations=(bad,)))
            for bad in ("", "*", "a*b", "a*b*", "org.systemd.property.X", "org.systemd.property.*", "org.*", "o*")
        ),
        ("runtime.cdi_spec_dirs", Config(runtime=RuntimeConfig(cdi_spec_dirs=("cdi",)))),
        ("runtime.hooks_dirs", Config(runtime=RuntimeConfig(hooks_dirs=("/a/../b",)))),
        ("runtime.default_env", Config(runtime=RuntimeConfig(default_env=("A",)))),
        ("runtime.default_ulimits", Config(runtime=RuntimeConfig(default_ulimits=("nofile=2:1",)))),
        ("runtime.default_mounts", Config(runtime=RuntimeConfig(default_mounts=("a:b",)))),
        ("runtime.default_sysctls", Config(runtime=RuntimeConfig(default_sysctls=("a",)))),
        ("runtime.block_io_classes.x", Config(runtime=RuntimeConfig(block_io_classes={"x": SLOW}))),
        ("runtime.block_io_classes.x.weight", Config(runtime=RuntimeConfig(block_io_classes={"x": BlockIoClass(9)}))),
        ("runtime.umask", Config(runtime=RuntimeConfig(umask="99"))),
        ("runtime.timezone", Config(runtime=RuntimeConfig(timezone="../x"))),
        ("runtime.pids_limit", Config(runtime=RuntimeConfig(pids_limit=-1))),
        ("runtime.shm_size", Config(runtime=RuntimeConfig(shm_size=0))),
        ("streaming.address", Config(streaming=StreamingConfig(address="localhost"))),
        ("streaming.port", Config(streaming=StreamingConfig(port=65536))),
        ("streaming.tls_key", Config(streaming=StreamingConfig(tls_cert="/c.pem"))),
        ("streaming.tls_cert", Config(streaming=StreamingConfig(tls_key="/k.pem"))),
        ("streaming.tls_cert", Config(streaming=StreamingConfig(tls_cert="c.pem", tls_key="/k.pem"))),
        ("metrics.port", Config(metrics=MetricsConfig(port=-1))),
        ("stats.collection_period", Config(stats=StatsConfig(collection_period=-1))),
        ("stats.collection_period", Config(stats=StatsConfig(collection_period=float("nan")))),
    ],
)
def test_a_fault_names_its_key(key: str, config: Config) -> None:
    assert key in dict(faults(config))


def test_annotations_by_key_and_by_beginning() -> None:
    handlers = {"runc": Handler(annotations=("io.kata-containers.*", "run.oci.handler", "org.example*"))}
    assert list(faults(Config(runtime=RuntimeConfig(handlers=handlers, default_handler="runc")))) == []


def test_the_longest_socket_path_is_allowed() -> None:
    longest = "unix:///" + "x" * (SOCKET_PATH_MAX - 1)
    assert list(faults(replace(Config(), listen=longest))) == []
