"""Who a container's process is: the request or the image's USER, looked up in the image's own passwd and group text.

Only text is parsed here; the caller reads the two files, bounded and inside the root (CVE-2026-47262, CVE-2025-4437).
A number out of range is an error and never a name or uid 0 (CVE-2026-46680, CVE-2024-40635).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from criserver.errors import InvalidArgument
from criserver.model.container import ProcessUser
from criserver.model.security import ContainerSecurity, GroupsPolicy

MAX_ID = 2**31 - 1
"""The highest user or group id, as the kubelet and both peers have it."""

_NUMBER = re.compile(r"[+-]?\s*[0-9]+")


@dataclass(frozen=True, slots=True)
class Identity:
    """A resolved user; `name` and `home` are empty when passwd does not know it."""

    user: ProcessUser
    name: str = ""
    home: str = ""


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: str
    gid: str
    home: str


def resolve(security: ContainerSecurity, image_user: str, passwd: str, group: str) -> Identity:
    """The identity that the request, else the image's USER ("name", "uid", "uid:gid", "name:group"), comes to.

    The primary gid is always among the additional ones (CVE-2022-2995, CVE-2023-25173). InvalidArgument for unknown
    names, numbers outside 0..MAX_ID, and a RunAsGroup without a user.
    """
    user, group_name, field = _asked(security, image_user)
    uid, account = _find_user(user, passwd, f"{field} {user!r}")
    gid = _gid(group_name, account, group, field)
    groups = {gid, *(_in_range(number, "supplemental_groups") for number in security.supplemental_groups)}
    if account and security.supplemental_groups_policy is GroupsPolicy.MERGE:
        groups.update(_memberships(account.name, group))
    resolved = ProcessUser(uid, gid, tuple(sorted(groups)))
    return Identity(resolved, account.name if account else "", account.home if account else "")


def _asked(security: ContainerSecurity, image_user: str) -> tuple[str, str, str]:
    """User, group and the field that named them; an empty group means the user's own."""
    by_id, by_name, group = security.run_as_user, security.run_as_username, security.run_as_group
    if by_id is not None and by_name:
        raise InvalidArgument(f"run_as_user {by_id} and run_as_username {by_name!r}: give only one of them")
    if by_id is None and not by_name:
        if group is not None:
            raise InvalidArgument(
                f"run_as_group: {group} without run_as_user or run_as_username; give the user as well"
            )
        user, _, group_name = image_user.partition(":")
        return user or "0", group_name, "the image's USER"
    group_name = "" if group is None else str(_in_range(group, "run_as_group"))
    if by_id is not None:
        return str(_in_range(by_id, "run_as_user")), group_name, "run_as_user"
    if ":" in by_name:
        raise InvalidArgument(f'run_as_username: {by_name!r} holds ":"; give a user name of the image')
    return by_name, group_name, "run_as_username"


def _find_user(user: str, passwd: str, what: str) -> tuple[int, _Account | None]:
    if _NUMBER.fullmatch(user):
        uid = _number(user, what)
        return uid, next((account for account in _accounts(passwd) if account.uid == str(uid)), None)
    account = next((account for account in _accounts(passwd) if account.name == user), None)
    if account is None:
        raise InvalidArgument(f"{what} is not in the image's /etc/passwd; give a user that it has, or a number")
    return _number(account.uid, f"{what}: uid in the image's /etc/passwd"), account


def _gid(name: str, account: _Account | None, group: str, field: str) -> int:
    if not name:
        return _number(account.gid, "gid in the image's /etc/passwd") if account else 0
    if _NUMBER.fullmatch(name):
        return _number(name, f"{field}: group")
    for known, gid, _ in _groups(group):
        if known == name:
            return _number(gid, f"gid of group {name!r} in the image's /etc/group")
    raise InvalidArgument(
        f"{field}: group {name!r} is not in the image's /etc/group; give one that it has, or a number"
    )


def _memberships(user: str, group: str) -> Iterator[int]:
    for name, gid, members in _groups(group):
        if user in members.split(","):
            yield _number(gid, f"gid of group {name!r} in the image's /etc/group")


def _accounts(passwd: str) -> Iterator[_Account]:
    for line in passwd.split("\n"):
        parts = line.split(":")
        if len(parts) >= 4 and parts[0]:
            yield _Account(parts[0], parts[2], parts[3], parts[5] if len(parts) > 5 else "")


def _groups(group: str) -> Iterator[tuple[str, str, str]]:
    for line in group.split("\n"):
        parts = line.split(":")
        if len(parts) >= 3 and parts[0]:
            yield parts[0], parts[2], parts[3] if len(parts) > 3 else ""


def _number(text: str, what: str) -> int:
    # isascii and the length bound: int() takes digits of any script, and refuses very long ones with another error.
    if not (text.isascii() and text.isdigit() and len(text) <= 32):
        raise InvalidArgument(f"{what}: {text[:40]!r} is not a number from 0 to {MAX_ID}")
    return _in_range(int(text), what)


def _in_range(number: int, what: str) -> int:
    if not 0 <= number <= MAX_ID:
        raise InvalidArgument(f"{what}: {number} is out of range; give 0 to {MAX_ID}")
    return number
