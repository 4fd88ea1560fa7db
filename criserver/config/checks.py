"""What no type can say: paths, sizes and how keys fit together. Pure; the host is not looked at."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit

from criserver.config import defaults
from criserver.config.schema import AUTO, Config, ImageConfig, MetricsConfig, RuntimeConfig, StreamingConfig

# sockaddr_un.sun_path has 108 bytes with its closing NUL (unix(7)).
SOCKET_PATH_MAX = 107
STORES = 20  # of image.additional_stores
_SYSTEMD = "org.systemd.property."


def faults(config: Config) -> Iterator[tuple[str, str]]:
    """Each thing wrong with `config`: the dotted key, and what must be otherwise."""
    yield from _listen(config.listen)
    for key, path in _paths(config):
        if not _is_clean(path):
            yield key, f"must be an absolute path without '..' or '//', not {path!r}"
    yield from _directories(config)
    yield from _runtime(config)
    yield from _defaults(config.runtime)
    yield from _addresses(config)
    yield from _certificate(config.streaming)
    if not 0 < config.network.plugin_timeout <= 3600:
        yield "network.plugin_timeout", f"must be more than 0 and at most 3600 s, not {config.network.plugin_timeout}"
    if not 0 <= config.stats.collection_period <= 300:
        yield "stats.collection_period", f"must be from 0 to 300 s, not {config.stats.collection_period}"
    if not 0 <= config.tracing.sampling_rate_per_million <= 1_000_000:
        yield "tracing.sampling_rate_per_million", "must be from 0 to 1000000"
    if (endpoint := config.tracing.endpoint) and not _is_endpoint(endpoint):
        yield "tracing.endpoint", f"must be host:port or a URL with http or https, not {endpoint!r}"
    yield from _pulls(config.image)
    if not config.network.bin_dirs:
        yield "network.bin_dirs", "must name at least one directory"


def _is_endpoint(text: str) -> bool:
    parts = urlsplit(text if "://" in text else f"//{text}")
    try:
        return bool(parts.hostname) and parts.port is not None and parts.scheme in ("", "http", "https")
    except ValueError:
        return False


def _pulls(image: ImageConfig) -> Iterator[tuple[str, str]]:
    if image.max_concurrent_pulls < 1:
        yield "image.max_concurrent_pulls", f"must be 1 at least, not {image.max_concurrent_pulls}"
    if image.pull_memory_limit and image.pull_memory_limit < 64 << 20:
        yield "image.pull_memory_limit", f"must be 0, or 64 MiB (67108864) at least, not {image.pull_memory_limit}"
    if not 1 <= image.pull_progress_timeout <= 86400:
        yield "image.pull_progress_timeout", f"must be from 1 to 86400 s, not {image.pull_progress_timeout}"


def _listen(listen: str) -> Iterator[tuple[str, str]]:
    path = listen.removeprefix("unix://")
    if not listen.startswith("unix://") or not _is_clean(path):
        yield "listen", f"must be unix:// and an absolute path, as in unix:///run/x.sock, not {listen!r}"
    elif len(os.fsencode(path)) > SOCKET_PATH_MAX:
        yield "listen", f"has a path of {len(os.fsencode(path))} bytes; a socket's path has at most {SOCKET_PATH_MAX}"


def _paths(config: Config) -> Iterator[tuple[str, str]]:
    yield from (("root", config.root), ("state", config.state), ("network.conf_dir", config.network.conf_dir))
    for directory in config.network.bin_dirs:
        yield "network.bin_dirs", directory
    for path in config.image.additional_stores:
        yield "image.additional_stores", path
    keys = ("registries_conf", "policy", "registries_d", "auth_file", "namespaced_auth_dir", "decryption_keys_path")
    for key in ("store", *keys):
        if path := getattr(config.image, key):
            yield f"image.{key}", path
    for key in ("tls_cert", "tls_key"):
        if path := getattr(config.streaming, key):
            yield f"streaming.{key}", path
    yield from _runtime_paths(config.runtime)
    binaries = {"image.skopeo": config.image.skopeo}
    binaries |= {f"runtime.handlers.{name}.path": handler.path for name, handler in config.runtime.handlers.items()}
    yield from ((key, path) for key, path in binaries.items() if "/" in path)


def _runtime_paths(runtime: RuntimeConfig) -> Iterator[tuple[str, str]]:
    for key in ("cdi_spec_dirs", "hooks_dirs"):
        yield from ((f"runtime.{key}", directory) for directory in getattr(runtime, key))
    for name, handler in runtime.handlers.items():
        for key in ("root", "seccomp_profile", "base_spec"):
            if path := getattr(handler, key):
                yield f"runtime.handlers.{name}.{key}", path


def _directories(config: Config) -> Iterator[tuple[str, str]]:
    for key, one, other in (("root", config.root, config.state), ("state", config.state, config.root)):
        if one == "/":
            yield key, "must be a directory of its own, not /"
        elif other == one or other.startswith(one + "/"):
            # one survives a reboot and the other must not: nested, a clean-up of one would take the other with it
            yield key, f"must neither be nor hold the other of root and state: {one} and {other}"
    yield from _stores(config)


def _stores(config: Config) -> Iterator[tuple[str, str]]:
    """Images must outlive a reboot, and what is only read must not be what is written."""
    if config.store == "/":
        yield "image.store", "must be a directory of its own, not /"
    elif _holds(config.state, config.store) or _holds(config.store, config.state):
        yield "image.store", f"must neither be nor hold the state directory, nor be in it: {config.store}"
    for path in config.image.additional_stores:
        if any(_holds(one, path) or _holds(path, one) for one in (config.root, config.store)):
            yield "image.additional_stores", f"has {path}, which is, is in or holds this server's own root or store"
    if len(config.image.additional_stores) > STORES:
        yield "image.additional_stores", f"has more than {STORES} directories"


def _holds(one: str, other: str) -> bool:
    return other == one or other.startswith(f"{one}/")


def _runtime(config: Config) -> Iterator[tuple[str, str]]:
    runtime = config.runtime
    if runtime.default_handler not in (AUTO, *runtime.handlers):
        names = ", ".join(sorted(runtime.handlers))
        yield (
            "runtime.default_handler",
            f"must be auto or one of runtime.handlers ({names}), not {runtime.default_handler!r}",
        )
    for name, handler in runtime.handlers.items():
        if not name or "/" in name or not name.isprintable() or name == AUTO:
            yield "runtime.handlers", f"has a name that no pod can ask for: {name!r}"
        if (handler.minimum_memory or 0) < 0:
            yield f"runtime.handlers.{name}.minimum_memory", f"must not be negative, not {handler.minimum_memory}"
        for pattern in handler.annotations:
            if fault := _annotation(pattern):
                yield f"runtime.handlers.{name}.annotations", f"{fault}: {pattern!r}"


def _defaults(runtime: RuntimeConfig) -> Iterator[tuple[str, str]]:
    """What containers get without asking."""
    parsed: dict[str, tuple[Callable[[str], object], Iterable[str]]] = {
        "default_sysctls": (defaults.pair, runtime.default_sysctls),
        "default_env": (defaults.pair, runtime.default_env),
        "default_ulimits": (defaults.ulimit, runtime.default_ulimits),
        "default_mounts": (defaults.mount, runtime.default_mounts),
        "umask": (defaults.umask, [runtime.umask] if runtime.umask else []),
        "timezone": (defaults.zone, [runtime.timezone]),
    }
    for name, group in runtime.block_io_classes.items():
        rates = (*group.read_bps, *group.write_bps, *group.read_iops, *group.write_iops)
        parsed[f"block_io_classes.{name}"] = (defaults.rate, rates)
        if group.weight and not 10 <= group.weight <= 1000:
            yield f"runtime.block_io_classes.{name}.weight", f"must be from 10 to 1000, or 0, not {group.weight}"
    for key, (parse, entries) in parsed.items():
        for entry in entries:
            try:
                parse(entry)
            except ValueError as error:
                yield f"runtime.{key}", f"{error}, not {entry!r}"
    if not 0 <= runtime.pids_limit <= 1 << 22:
        yield "runtime.pids_limit", f"must be from 0 to {1 << 22}, not {runtime.pids_limit}"
    if not 1 << 16 <= runtime.shm_size <= 1 << 50:
        yield "runtime.shm_size", f"must be from 65536 to {1 << 50} bytes, not {runtime.shm_size}"


def _annotation(pattern: str) -> str:
    """What is wrong with an entry of an allow-list of annotations; empty when nothing is."""
    start = pattern.removesuffix("*")
    if not start or "*" in start or not start.isprintable():
        return "must be a key, or the beginning of one and a *"
    if start.startswith(_SYSTEMD) or (pattern.endswith("*") and _SYSTEMD.startswith(start)):
        return f"must not let {_SYSTEMD}* pass, which systemd would run as root (CVE-2024-3154)"
    return ""


def _addresses(config: Config) -> Iterator[tuple[str, str]]:
    endpoints: dict[str, StreamingConfig | MetricsConfig]
    endpoints = {"streaming": config.streaming, "metrics": config.metrics}
    for section, endpoint in endpoints.items():
        try:
            ipaddress.ip_address(endpoint.address)
        except ValueError:
            yield f"{section}.address", f"must be an IP address, not {endpoint.address!r}"
        if endpoint.port is not None and not 0 <= endpoint.port <= 65535:
            yield f"{section}.port", f"must be from 0 to 65535, not {endpoint.port}"


def _certificate(streaming: StreamingConfig) -> Iterator[tuple[str, str]]:
    if bool(streaming.tls_cert) != bool(streaming.tls_key):
        lacking = "tls_key" if streaming.tls_cert else "tls_cert"
        yield f"streaming.{lacking}", "is empty: a certificate and its key go together"


def _is_clean(path: str) -> bool:
    return path.startswith("/") and os.path.normpath(path) == path and not path.startswith("//") and "\0" not in path
