"""Entries become files: the tree of one layer, in the form in which overlayfs stacks it.

Works in the current directory, which the helper has made the root of its world: names are relative, links lead
nowhere else. The last part of a name is never followed; links on the way there are, as long as they lead to another
place of the layer: one that points to "/" or above the root is refused, since nobody writes through it by honest means.
Deletions become what overlayfs reads them from
(kernel.org, filesystems/overlayfs, "whiteouts and opaque directories"): a character device 0:0, and the xattr
trusted.overlay.opaque on a directory; their names in the archive are OCI image-spec layer.md's.
Metadata of directories is set last, so that no write inside changes their times and no set-group-ID bit or default
ACL of theirs colours what is created in them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Mapping

from criserver.drivers.images.unpack import tar
from criserver.drivers.images.unpack.entry import (
    BLOCKDEV,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARDLINK,
    REGULAR,
    SYMLINK,
    Entry,
)
from criserver.drivers.images.unpack.protocol import hostile, shown
from criserver.drivers.images.unpack.source import CHUNK, Source
from criserver.drivers.images.unpack.usage import Usage, usage
from criserver.drivers.images.unpack.ways import outward

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
AUFS = b".wh..wh."
"""Prefix of what aufs kept in its layers for itself; it means nothing elsewhere."""
OVERLAY_OPAQUE = "trusted.overlay.opaque"

_XATTRS = ("user.", "security.capability", "system.posix_acl_access", "system.posix_acl_default")
"""Xattrs that a layer may set. Not trusted.*: that is overlayfs's own language (redirect, opaque, metacopy)."""
_OVERLAY_XATTRS = "user.overlay."
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HOLE = 1 << 16
"""Least bytes of a piece that becomes a hole when it is nothing but zeros."""
_ZEROS = bytes(CHUNK)
_UNSUPPORTED = (errno.ENOTSUP, errno.EPERM)


class Tree:
    """The layer's tree while it is being filled."""

    def __init__(self, source: Source) -> None:
        """`source` holds the contents of the entries that are put."""
        self._source = source
        self._directories: dict[bytes, Entry] = {}
        self._links: set[bytes] = set()
        self._checked = b""
        self._put = {
            REGULAR: self._file,
            HARDLINK: self._hardlink,
            SYMLINK: self._symlink,
            DIRECTORY: self._directory,
            CHARACTER: self._node,
            BLOCKDEV: self._node,
            FIFO: self._node,
        }

    def put(self, entry: Entry) -> None:
        """Apply one entry, over whatever an earlier one has left under its name."""
        parent, _, base = entry.name.rpartition(b"/")
        if parent != self._checked:
            self._check_way(parent)
            self._checked = parent
        if base.startswith(WHITEOUT):
            self._source.skip(entry.stored)
            self._delete(parent, base)
            return
        put = self._put[entry.kind]
        try:
            put(entry)
        except FileNotFoundError:
            self._make_parents(parent)
            put(entry)
        except FileExistsError:
            was_whiteout = self._clear(entry.name)
            put(entry)
            if was_whiteout and entry.kind == DIRECTORY:
                os.setxattr(entry.name, OVERLAY_OPAQUE, b"y", follow_symlinks=False)

    def finish(self) -> None:
        """Give the directories their metadata, children before parents."""
        for name in sorted(self._directories, reverse=True):
            entry = self._directories[name]
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._adorn(name or b".", entry)

    def _file(self, entry: Entry) -> None:
        fd = os.open(entry.name, _CREATE, entry.mode)
        try:
            if entry.regions is not None:
                self._sparse(fd, entry)
            elif entry.stored:
                self._dense(fd, entry)
            if entry.uid or entry.gid:
                os.fchown(fd, entry.uid, entry.gid)
                os.fchmod(fd, entry.mode)  # chown(2) clears the set-ID bits
            if entry.xattrs:
                _set_xattrs(fd, entry.xattrs)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _dense(self, fd: int, entry: Entry) -> None:
        """Long runs of zeros become holes: they compress a thousandfold, and should not be able to fill the disk."""
        hole = False
        for piece in self._source.pieces(entry.stored):
            hole = len(piece) >= _HOLE and _is_zero(piece[:64]) and _is_zero(piece)
            if hole:
                os.lseek(fd, len(piece), os.SEEK_CUR)
            else:
                _write(fd, piece)
        if hole:
            os.ftruncate(fd, entry.stored)

    def _sparse(self, fd: int, entry: Entry) -> None:
        os.ftruncate(fd, entry.size)
        for offset, length in entry.regions or ():
            os.lseek(fd, offset, os.SEEK_SET)
            for piece in self._source.pieces(length):
                _write(fd, piece)

    def _hardlink(self, entry: Entry) -> None:
        if entry.target == entry.name:
            return
        self._check_way(entry.target.rpartition(b"/")[0])
        try:
            os.link(entry.target, entry.name, follow_symlinks=False)
        except FileNotFoundError:
            if not os.path.lexists(entry.target):
                what = f"hard link {shown(entry.name)} leads to {shown(entry.target)}"
                raise hostile(f"{what}, which is not in this layer") from None
            raise

    def _symlink(self, entry: Entry) -> None:
        os.symlink(entry.target, entry.name)
        self._links.add(entry.name)
        self._checked = b""
        if entry.uid or entry.gid:
            os.chown(entry.name, entry.uid, entry.gid, follow_symlinks=False)
        os.utime(entry.name, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def _directory(self, entry: Entry) -> None:
        if entry.name:
            try:
                os.mkdir(entry.name, 0o700)
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(entry.name).st_mode):
                    raise
        self._directories[entry.name] = entry

    def _node(self, entry: Entry) -> None:
        kind = {CHARACTER: stat.S_IFCHR, BLOCKDEV: stat.S_IFBLK, FIFO: stat.S_IFIFO}[entry.kind]
        os.mknod(entry.name, kind | entry.mode, os.makedev(*entry.device))
        self._adorn(entry.name, entry)

    def _adorn(self, name: bytes, entry: Entry) -> None:
        os.chown(name, entry.uid, entry.gid, follow_symlinks=False)
        if stat.S_ISLNK(os.lstat(name).st_mode):
            return
        os.chmod(name, entry.mode)
        _set_xattrs(name, entry.xattrs)
        os.utime(name, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def _delete(self, parent: bytes, base: bytes) -> None:
        """A whiteout: what lies in lower layers is gone. What this layer itself has under the name stays."""
        if base != OPAQUE and base.startswith(AUFS):
            return
        if parent:
            self._make_parents(parent)
        if base == OPAQUE:
            os.setxattr(parent or b".", OVERLAY_OPAQUE, b"y")
            return
        name = os.path.join(parent, base[len(WHITEOUT) :])
        if name in (b"", b".", b"..") or name.endswith((b"/.", b"/..", b"/")):
            raise hostile(f"whiteout {shown(os.path.join(parent, base))} names no file")
        try:
            os.mknod(name, stat.S_IFCHR, 0)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(name).st_mode):
                os.setxattr(name, OVERLAY_OPAQUE, b"y", follow_symlinks=False)

    def _check_way(self, parent: bytes) -> None:
        """Refuse a way through links of this layer that leads out of it."""
        parts = parent.split(b"/")
        if not self._links.isdisjoint(b"/".join(parts[:count]) for count in range(1, len(parts) + 1)):
            link = outward(parts)
            if link is not None:
                raise hostile(f"entry below {shown(parent)} goes through the link {shown(link)}, which leads outside")

    def _make_parents(self, parent: bytes) -> None:
        """Directories that the archive takes for granted: root's, 0755, below whatever links lead there."""
        path = os.path.realpath(parent)
        missing: list[bytes] = []
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for each in reversed(missing):
            os.mkdir(each, 0o755)

    def _clear(self, name: bytes) -> bool:
        """Remove what an earlier entry left under `name`; whether it was a whiteout."""
        status = os.lstat(name)
        if stat.S_ISDIR(status.st_mode):
            self._remove_directory(name)
            return False
        os.unlink(name)
        return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0

    def _remove_directory(self, name: bytes) -> None:
        """Remove a tree of this layer, without recursion: its depth is the archive's choice."""
        stack = [name]
        while stack:
            top = stack[-1]
            inner = None
            for child in list(os.scandir(top)):
                if child.is_dir(follow_symlinks=False):
                    inner = child.path
                    break
                os.unlink(child.path)
            if inner is None:
                os.rmdir(stack.pop())
                self._directories.pop(top, None)
            else:
                stack.append(inner)


def fill(source: Source, limit: int) -> Usage:
    """Unpack the archive in `source`, at most `limit` entries, into the current directory; returns its usage."""
    tree = Tree(source)
    _put_all(tree, tar.entries(source, limit))
    source.finish()
    tree.finish()
    return usage()


def _put_all(tree: Tree, entries: Iterable[Entry]) -> None:
    for entry in entries:
        try:
            tree.put(entry)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise hostile(f"entry {shown(entry.name)} cannot be created: {error.strerror}") from error


def _is_zero(piece: memoryview) -> bool:
    return piece.tobytes() == _ZEROS[: len(piece)]  # Views are compared byte by byte.


def _write(fd: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(fd, piece) :]


def _set_xattrs(target: bytes | int, xattrs: Mapping[str, bytes]) -> None:
    for name, value in xattrs.items():
        if not name.startswith(_XATTRS) or name.startswith(_OVERLAY_XATTRS):
            continue
        try:
            os.setxattr(target, name, value)
        except OSError as error:
            if error.errno not in _UNSUPPORTED or name.startswith("security."):
                raise
