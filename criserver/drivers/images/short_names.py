"""What image names without a registry mean: aliases and search registries of registries.conf. Port `Names`.

Sources: containers-registries.conf(5), "short-name aliasing", and its drop-ins. Without any of them a short name is
Docker Hub's, as with containerd. Of several search registries none is guessed: whoever controls one of them could
answer for the others' images (short-name-mode "enforcing"; nobody is there to be asked).
"""

from __future__ import annotations

import glob
import logging
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from criserver.errors import InvalidArgument
from criserver.kernel.fds import read_in_root
from criserver.kernel.offload import offload
from criserver.model.reference import split_short

log = logging.getLogger(__name__)

CONF = "/etc/containers/registries.conf"
DROP_INS = "/etc/containers/registries.conf.d"
_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class _Rules:
    aliases: Mapping[str, str] = field(default_factory=dict)
    search: tuple[str, ...] = ()


class ShortNames:
    """The rules as they were when they were last read."""

    def __init__(self, conf: str = "", drop_ins: str = DROP_INS) -> None:
        """`conf` is the configured registries.conf; empty: the host's. Blocks: they are read."""
        self._conf, self._drop_ins = conf or CONF, drop_ins
        self._rules = self._read()

    async def refresh(self) -> None:
        """Read the files anew."""
        self._rules = await offload(self._read)

    def candidates(self, text: str) -> tuple[str, ...]:
        """The full references that `text` may mean, one at least; those with a registry mean themselves."""
        short = split_short(text)
        if short is None:
            return (text,)
        name, rest = short
        if alias := self._rules.aliases.get(name):
            return (alias + rest,)
        return tuple(f"{registry}/{name}{rest}" for registry in self._rules.search) or (text,)

    def one(self, text: str) -> str:
        """The full reference that `text` means; InvalidArgument when that is not certain."""
        found = self.candidates(text)
        if len(found) > 1:
            mended = "name the registry, or make an alias in registries.conf"
            raise InvalidArgument(f"short image name {text!r} is ambiguous, it may be {', '.join(found)}: {mended}")
        return found[0]

    def _read(self) -> _Rules:
        rules = _Rules()
        for path in (self._conf, *sorted(glob.glob(f"{glob.escape(self._drop_ins)}/*.conf"))):
            try:
                rules = _with(rules, tomllib.loads(read_in_root("/", path, _LIMIT).decode()))
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:  # skopeo will say the same to everybody who pulls.
                log.warning("%s cannot be read, its short names are not known: %s", path, error)
        return rules


def _with(rules: _Rules, document: Mapping[str, Any]) -> _Rules:
    """What a further file adds: aliases one by one, an empty one takes away; search registries as a whole."""
    aliases, search = document.get("aliases", {}), document.get("unqualified-search-registries")
    given = aliases if isinstance(aliases, dict) else {}
    merged = {name: full for name, full in {**rules.aliases, **given}.items() if full and isinstance(full, str)}
    listed = tuple(map(str, search)) if isinstance(search, list) else rules.search
    return _Rules(merged, listed)
