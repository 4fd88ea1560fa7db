"""The operator's calls about the server itself.

Reload {} answers {"applied": [KEY, ...], "waiting": [KEY, ...], "lines": [TEXT, ...]}.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from criserver.api.admin import Message, Method
from criserver.config.live import Changes


class NodeAdmin:
    """The running server by the operator's hand."""

    def __init__(self, reload: Callable[[], Changes]) -> None:
        """`reload` takes up the configuration files anew, or raises ConfigError and changes nothing. It blocks."""
        self._reload_files = reload

    @property
    def methods(self) -> Mapping[str, Method]:
        """Reload."""
        return {"Reload": self._reload}

    async def _reload(self, _: Message) -> Message:
        changes = await asyncio.to_thread(self._reload_files)
        return {
            "applied": [each.key for each in changes.applied],
            "waiting": [each.key for each in changes.waiting],
            "lines": changes.lines(),
        }
