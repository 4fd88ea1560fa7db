"""CDI devices and hooks from the directories of the configuration (port `Injections`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from criserver.drivers.injections import oci_hooks
from criserver.drivers.injections.cdi import Catalogue, catalogue
from criserver.drivers.injections.operator_files import OperatorFiles
from criserver.errors import FailedPrecondition, InvalidArgument
from criserver.kernel.offload import offload
from criserver.model.edits import NO_EDITS, Edits, HookRule, cdi_name


class InjectionFiles:
    """Implements `ports.injections.Injections`. Files may change at any time and count from the next container on."""

    def __init__(self, cdi_dirs: Callable[[], Sequence[str]], hooks_dirs: Callable[[], Sequence[str]]) -> None:
        """Both are asked at each use; of each, later directories count more."""
        self._cdi: OperatorFiles[Catalogue] = OperatorFiles(cdi_dirs, (".json", ".yaml"), catalogue)
        self._hooks = OperatorFiles(hooks_dirs, (".json",), oci_hooks.rules)

    async def devices(self, names: tuple[str, ...]) -> Edits:
        """What the CDI devices of these full names come to, together."""
        for name in names:
            if cdi_name(name) is None:
                raise InvalidArgument(f"CDI device {name[:80]!r} is not a full name; give vendor/class=device")
        return await offload(self._edits, names) if names else NO_EDITS

    async def hooks(self) -> tuple[HookRule, ...]:
        """The rules of the hooks directories; FailedPrecondition names a file that cannot be used."""
        rules, fault = await offload(self._hooks.current)
        if fault:
            raise FailedPrecondition(f"{fault}; correct or remove it: containers must not start without their hooks")
        return rules

    def _edits(self, names: tuple[str, ...]) -> Edits:
        return self._cdi.current().edits(names)
