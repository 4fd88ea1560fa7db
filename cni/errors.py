"""What can go wrong, as exceptions.

Every failure that leaves this package is a `CniError`: a plugin's own words, a configuration that cannot be read, a
plugin that hangs or is not there. The codes are the CNI specification's (section "Error"); a code has one class,
`from_code` finds it. This module knows no file, no process and no JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

WORDS_LIMIT = 4096
"""Characters of a plugin's own words (msg, details, stderr) that an error passes on: the head of a stack trace."""


def printable(text: str, limit: int = WORDS_LIMIT) -> str:
    """Return foreign `text` fit for one log line: bounded, stripped, control characters and lone surrogates replaced.

    A plugin's words reach logs and kubelet events, so they must not be able to forge a line or break an encoder.
    """
    text = text.strip()
    kept = "".join(c if c.isprintable() else " " for c in text[:limit])
    return f"{kept} [... {len(text) - limit} more characters]" if len(text) > limit else kept


class CniError(Exception):
    """Any failure of a network operation.

    `code` is the specification's number (0 when there is none), `msg` the short and `details` the long text, `plugin`
    the plugin type that failed ("" when no plugin was involved) and `command` what it was asked (ADD, DEL, ...).
    `undo_error` is what failed again when a failed ADD was undone, None when nothing did.
    """

    CODE: ClassVar[int] = 0

    def __init__(
        self, msg: str, *, details: str = "", code: int | None = None, plugin: str = "", command: str = ""
    ) -> None:
        self.code = self.CODE if code is None else code
        self.msg = printable(msg)
        self.details = printable(details)
        self.plugin = printable(plugin, 128)
        self.command = command
        self.undo_error: CniError | None = None
        super().__init__(self.msg)

    def __str__(self) -> str:
        where = " ".join(word for word in (f'plugin "{self.plugin}"' if self.plugin else "", self.command) if word)
        text = f"{where}: {self.msg}" if where else self.msg
        if self.details and self.details != self.msg:
            text += f": {self.details}"
        if self.code and self.plugin:
            text += f" (CNI code {self.code})"
        return f"{text}; undoing it failed too: {self.undo_error}" if self.undo_error else text


class IncompatibleVersion(CniError):
    """Code 1: configuration, plugin and this library share no version of the specification."""

    CODE = 1


class UnsupportedField(CniError):
    """Code 2: the plugin does not support a field of the configuration; its message names key and value."""

    CODE = 2


class UnknownContainer(CniError):
    """Code 3: the plugin does not know the container, which means that it holds nothing for it to be cleaned up."""

    CODE = 3


class InvalidParameter(CniError):
    """Code 4: a parameter (container id, interface name, CNI_ARGS, netns) is missing or malformed."""

    CODE = 4


class IOFailure(CniError):
    """Code 5: reading or writing failed: the plugin's own I/O, or ours with its files."""

    CODE = 5


class DecodeFailure(CniError):
    """Code 6: content cannot be decoded: a result that is not JSON or not of the shape its version asks for."""

    CODE = 6


class InvalidNetworkConfig(CniError):
    """Code 7: a network configuration does not hold what it must."""

    CODE = 7


class TryAgainLater(CniError):
    """Code 11: a passing condition in the plugin; the same request may succeed later."""

    CODE = 11


class PluginNotAvailable(CniError):
    """Code 50: the plugin cannot serve ADD now."""

    CODE = 50


class LimitedConnectivity(CniError):
    """Code 51: the plugin cannot serve ADD now, and existing containers may be cut off."""

    CODE = 51


class PluginError(CniError):
    """A plugin's own error (codes 100 and up), or a code that the specification does not name."""


class NetworkNotFound(CniError):
    """No usable configuration of the wanted name, or none at all; the text lists the files that are broken."""


class PluginNotFound(CniError):
    """No bin directory holds an executable of that type."""


class PluginCrashed(CniError):
    """The plugin ended badly and said nothing that can be read as an error: its exit and its stderr are in the text."""


class PluginTimeout(CniError):
    """The plugin was still running at its time limit; it and its children have been killed."""


class AlreadyAttached(CniError):
    """The container has this interface already; a second ADD without a DEL between is not allowed (spec, ADD)."""


class NotAttached(CniError):
    """CHECK was asked for an attachment of which no ADD result is known (spec, CHECK)."""


class SeveralErrors(CniError):
    """More than one plugin or attachment failed in an operation that goes on to the end (DEL, GC).

    `errors` holds them in the order they happened; the text joins them; the code is the first one's.
    """

    def __init__(self, errors: Sequence[CniError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(str(error) for error in self.errors), code=0)
        self.code = self.errors[0].code


BY_CODE: dict[int, type[CniError]] = {
    kind.CODE: kind
    for kind in (
        IncompatibleVersion,
        UnsupportedField,
        UnknownContainer,
        InvalidParameter,
        IOFailure,
        DecodeFailure,
        InvalidNetworkConfig,
        TryAgainLater,
        PluginNotAvailable,
        LimitedConnectivity,
    )
}
"""The specification's well-known codes and their exceptions."""


def from_code(code: int, msg: str, *, details: str = "", plugin: str = "", command: str = "") -> CniError:
    """Return the exception for an error structure that a plugin printed; an unnamed code becomes `PluginError`."""
    kind = BY_CODE.get(code, PluginError)
    return kind(msg, details=details, code=code, plugin=plugin, command=command)


def raise_all(errors: Sequence[CniError]) -> None:
    """Raise what was collected: nothing, the one error itself, or `SeveralErrors`."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralErrors(errors)
