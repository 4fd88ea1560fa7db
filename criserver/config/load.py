"""From files and flags to one `Config`: `FILE`, then its drop-ins in order of their names, then the flags.

Every file is checked by itself, so that an error names the file that has it, and again as a whole once merged.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from criserver.config import checks, document, keys
from criserver.config.schema import Config
from criserver.errors import ConfigError

DEFAULT_FILE = "/etc/criserver/config.yaml"
FLAGS = "command line"


def load(path: str | None = None, flags: Mapping[str, object] | None = None) -> Config:
    """The configuration of `path` and its drop-ins, with `flags` (as nested mappings) on top.

    Drop-ins of /etc/criserver/config.yaml are /etc/criserver/config.d/*.yaml, and so for any other FILE.yaml: two
    servers in one directory do not read each other's. Without `path` the default file is read if it is there.
    ConfigError names the file, the key, and what it must be.
    """
    merged: dict[str, object] = {}
    origins: dict[str, str] = {}
    sources = [(name, document.read(name)) for name in files(path)]
    for name, data in [*sources, (FLAGS, dict(flags or {}))]:
        try:
            checked = keys.check(data, Config)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
        merged = keys.merge(merged, checked)
        origins |= dict.fromkeys(keys.leaves(checked), name)
    return _checked(merged, origins)


def files(path: str | None = None) -> list[str]:
    """The files that `load` reads, in order."""
    base = path or DEFAULT_FILE
    found = [base] if path is not None or os.path.lexists(base) else []
    directory = os.path.splitext(base)[0] + ".d"
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".yaml") and name[0] != ".")
    except (FileNotFoundError, NotADirectoryError):
        names = []
    except OSError as error:
        raise ConfigError(f"{directory}: cannot be read: {error.strerror}") from error
    return found + [os.path.join(directory, name) for name in names]


def _checked(merged: dict[str, object], origins: Mapping[str, str]) -> Config:
    # A handler named in a file joins the default ones, as every other key joins its section.
    config: Config = keys.build(keys.merge(_default_handlers(), merged), Config)
    for key, fault in checks.faults(config):
        origin = origins.get(key, "")
        raise ConfigError(f"{origin}: {key} {fault}" if origin else f"{key} {fault}")
    return config


def _default_handlers() -> dict[str, object]:
    handlers = Config().runtime.handlers
    return {"runtime": {"handlers": {name: {"type": str(handler.type)} for name, handler in handlers.items()}}}
