"""The operator's calls about the state of the node.

Check {"repair": bool} answers {"findings": [{"verdict", "what", "owner", "id", "where", "hint"}], "done": [LINE]}.
"""

from __future__ import annotations

from collections.abc import Mapping

from criserver.api.admin import Message, Method
from criserver.lifecycle.mending.check import Checker
from criserver.model.findings import Finding


class CheckAdmin:
    """State against kernel."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker

    @property
    def methods(self) -> Mapping[str, Method]:
        """Check."""
        return {"Check": self._check}

    async def _check(self, request: Message) -> Message:
        """Look, and with "repair" mend what can be mended."""
        report = await self._checker.check(repair=request.get("repair") is True)
        return {"findings": [_finding(each) for each in report.findings], "done": list(report.done)}


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "verdict": finding.verdict,
        "what": finding.what,
        "owner": finding.owner,
        "id": finding.key,
        "where": finding.where,
        "hint": finding.hint,
    }
