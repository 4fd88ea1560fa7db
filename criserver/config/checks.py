"""What no type can say: paths, sizes and how keys fit together. Pure; the host is not looked at."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator

from criserver.config.schema import Config, MetricsConfig, StreamingConfig

# sockaddr_un.sun_path has 108 bytes with its closing NUL (unix(7)).
SOCKET_PATH_MAX = 107


def faults(config: Config) -> Iterator[tuple[str, str]]:
    """Each thing wrong with `config`: the dotted key, and what must be otherwise."""
    yield from _listen(config.listen)
    for key, path in _paths(config):
        if not _is_clean(path):
            yield key, f"must be an absolute path without '..' or '//', not {path!r}"
    yield from _directories(config)
    yield from _runtime(config)
    yield from _addresses(config)
    yield from _certificate(config.streaming)
    if not 0 < config.network.plugin_timeout <= 3600:
        yield "network.plugin_timeout", f"must be more than 0 and at most 3600 s, not {config.network.plugin_timeout}"
    if not 0 <= config.stats.collection_period <= 300:
        yield "stats.collection_period", f"must be from 0 to 300 s, not {config.stats.collection_period}"
    if not config.network.bin_dirs:
        yield "network.bin_dirs", "must name at least one directory"


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
    for key in ("registries_conf", "policy", "auth_file"):
        if path := getattr(config.image, key):
            yield f"image.{key}", path
    for key in ("tls_cert", "tls_key"):
        if path := getattr(config.streaming, key):
            yield f"streaming.{key}", path
    binaries = {"image.skopeo": config.image.skopeo}
    binaries |= {f"runtime.handlers.{name}.path": handler.path for name, handler in config.runtime.handlers.items()}
    yield from ((key, path) for key, path in binaries.items() if "/" in path)


def _directories(config: Config) -> Iterator[tuple[str, str]]:
    for key, one, other in (("root", config.root, config.state), ("state", config.state, config.root)):
        if one == "/":
            yield key, "must be a directory of its own, not /"
        elif other == one or other.startswith(one + "/"):
            # one survives a reboot and the other must not: nested, a clean-up of one would take the other with it
            yield key, f"must neither be nor hold the other of root and state: {one} and {other}"


def _runtime(config: Config) -> Iterator[tuple[str, str]]:
    runtime = config.runtime
    if runtime.default_handler not in runtime.handlers:
        names = ", ".join(sorted(runtime.handlers))
        yield "runtime.default_handler", f"must be one of runtime.handlers ({names}), not {runtime.default_handler!r}"
    for name in runtime.handlers:
        if not name or "/" in name or not name.isprintable():
            yield "runtime.handlers", f"has a name that no pod can ask for: {name!r}"


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
