"""A `Config` as YAML: the effective one for `criserver config`, and the commented example that is shipped.

What is printed can be read back: `load` of either gives the same configuration.
"""

from __future__ import annotations

import dataclasses
import textwrap

import msgspec
import yaml

from criserver.config.schema import Config

HEADER = """\
# The configuration of criserver, with every key at its default. Give only what differs.
#
# Read in this order, each over the one before: /etc/criserver/config.yaml, /etc/criserver/config.d/*.yaml by name,
# flags. `criserver config` prints the outcome. `criserver reload` takes up keys marked [reload] without a restart.
"""


def effective(config: Config) -> str:
    """Every key of `config` with its value, as YAML."""
    return _yaml(msgspec.to_builtins(config))


def example() -> str:
    """The defaults as commented YAML (shipped as config/config.yaml)."""
    return HEADER + "".join(f"\n{part}" for part in _section(Config()))


def _section(section: object) -> list[str]:
    parts = []
    for field in dataclasses.fields(section):  # type: ignore[arg-type] # every section is a dataclass
        value = getattr(section, field.name)
        comment = "".join(f"# {line}\n" for line in textwrap.wrap(field.metadata["doc"], 100))
        if dataclasses.is_dataclass(value):
            body = f"{field.name}:\n" + textwrap.indent("".join(_section(value)), "  ")
        else:
            body = _yaml({field.name: msgspec.to_builtins(value)})
        parts.append(comment + body)
    return parts


def _yaml(data: object) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
