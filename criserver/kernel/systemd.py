"""systemd's manager over D-Bus: transient slices and scopes, their properties, and the end of the jobs that make them.

Source: org.freedesktop.systemd1(5). One connection to the system bus, made when it is first needed and again when it
was lost. Each call waits for its job, so that what it asked for is there, or gone, when it returns.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError

from criserver.errors import Internal, Unavailable

# Name, D-Bus signature and value of a unit's property, as org.freedesktop.systemd1(5) has them.
Property = tuple[str, str, Any]

SOCKET = "/run/dbus/system_bus_socket"

_NAME, _PATH, _MANAGER = "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
_EXISTS, _UNKNOWN = f"{_NAME}.UnitExists", f"{_NAME}.NoSuchUnit"
_JOBS = f"type='signal',sender='{_NAME}',interface='{_MANAGER}',member='JobRemoved',path='{_PATH}'"

_CALL_TIMEOUT = 30.0  # seconds for a call together with its job
_REMEMBERED = 256  # ends of jobs, of which most are not ours, kept for calls that have not had their answer yet


class _Refused(Exception):
    """systemd's answer is an error."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(words or name)
        self.name = name


class Systemd:
    """The manager of the host. Methods raise Internal with systemd's words, Unavailable when it cannot be reached."""

    def __init__(self) -> None:
        self._bus: MessageBus | None = None
        self._connecting = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._ended: OrderedDict[str, str] = OrderedDict()

    async def start(self, unit: str, properties: Sequence[Property]) -> bool:
        """Make and start a transient unit; False when one of that name is there already."""
        what = f"systemd cannot start {unit}"
        try:
            await self._job(what, "StartTransientUnit", "ssa(sv)a(sa(sv))", [unit, "fail", _values(properties), []])
        except _Refused as refused:
            if refused.name == _EXISTS:
                return False
            raise Internal(f"{what}: {refused}") from refused
        return True

    async def set_properties(self, unit: str, properties: Sequence[Property]) -> bool:
        """Set properties of a unit until it goes or the host reboots; False when it is not there."""
        what = f"systemd cannot change {unit}"
        try:
            await self._call(what, "SetUnitProperties", "sba(sv)", [unit, True, _values(properties)])
        except _Refused as refused:
            if refused.name == _UNKNOWN:
                return False
            raise Internal(f"{what}: {refused}") from refused
        return True

    async def stop(self, unit: str) -> None:
        """Stop a unit with all that is in it, and forget a failure of it. One that is not there is fine."""
        what = f"systemd cannot stop {unit}"
        try:
            await self._job(what, "StopUnit", "ss", [unit, "replace"])
            await self._call(what, "ResetFailedUnit", "s", [unit])
        except _Refused as refused:
            if refused.name != _UNKNOWN:
                raise Internal(f"{what}: {refused}") from refused

    def close(self) -> None:
        """Let the connection go; units stay."""
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None

    async def _job(self, what: str, member: str, signature: str, body: list[Any]) -> None:
        """Call what answers with a job, and wait for its end."""
        path = (await self._call(what, member, signature, body))[0]
        result = self._ended.pop(path, None) or await self._end(what, path)
        if result not in ("done", "skipped"):
            raise Internal(f"{what}: its job ended with {result!r}; see journalctl -b -u {body[0]}")

    async def _end(self, what: str, path: str) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[path] = future
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                return await future
        except TimeoutError:
            raise Unavailable(f"{what}: its job did not end within {_CALL_TIMEOUT:g} s") from None
        finally:
            del self._waiting[path]

    async def _call(self, what: str, member: str, signature: str, body: list[Any]) -> list[Any]:
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                return await _ask(await self._connected(), _NAME, _PATH, _MANAGER, member, signature, body)
        except TimeoutError:
            self.close()
            raise Unavailable(f"{what}: it did not answer within {_CALL_TIMEOUT:g} s") from None
        except (OSError, EOFError, DBusError) as error:
            self.close()
            raise Unavailable(f"{what}: no connection to it over {SOCKET}: {error}") from error

    async def _connected(self) -> MessageBus:
        async with self._connecting:
            if self._bus is None or not self._bus.connected:
                bus = await MessageBus(f"unix:path={SOCKET}", BusType.SYSTEM).connect()
                bus.add_message_handler(self._heard)
                await _ask(bus, *_BUS, "AddMatch", "s", [_JOBS])
                await _ask(bus, _NAME, _PATH, _MANAGER, "Subscribe", "", [])
                self._bus = bus
            return self._bus

    def _heard(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL and message.member == "JobRemoved":
            _, path, _, result = message.body
            if waiting := self._waiting.get(path):
                if not waiting.done():
                    waiting.set_result(result)
                return
            self._ended[path] = result
            if len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)


_BUS = "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"


async def _ask(
    bus: MessageBus, name: str, path: str, interface: str, member: str, signature: str, body: list[Any]
) -> list[Any]:
    message = Message(
        destination=name, path=path, interface=interface, member=member, signature=signature, body=body
    )
    reply = await bus.call(message)
    if reply is None:
        raise EOFError("it hung up")
    if reply.message_type is MessageType.ERROR:
        raise _Refused(reply.error_name or "", " ".join(map(str, reply.body)))
    return list(reply.body)


def _values(properties: Sequence[Property]) -> list[list[Any]]:
    return [[name, Variant(signature, value)] for name, signature, value in properties]
