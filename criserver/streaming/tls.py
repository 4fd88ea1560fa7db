"""TLS for the streaming server: a certificate and key from files, read anew when they change."""

from __future__ import annotations

import logging
import os
import ssl

from criserver.errors import FailedPrecondition

log = logging.getLogger(__name__)


class Certificate:
    """A context that new connections are made with; those that stand keep what they have."""

    def __init__(self, cert: str, key: str) -> None:
        """Paths of PEM files. FailedPrecondition when they are not there or do not fit together."""
        self._cert, self._key = cert, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen: tuple[object, ...] = ()
        try:
            self._load()
        except OSError as error:
            raise FailedPrecondition(f"streaming.tls_cert, streaming.tls_key: {cert}, {key}: {error}") from error

    def refresh(self) -> None:
        """Read the files if they have changed; what cannot be read is logged, and the old pair serves on. Blocks."""
        try:
            if self._state() != self._seen:
                self._load()
                log.info("streaming certificate read anew", extra={"path": self._cert})
        except OSError as error:
            log.warning("streaming certificate %s cannot be read; the old one is kept: %s", self._cert, error)

    def _load(self) -> None:
        seen = self._state()
        # First into a context of its own: a pair that does not fit must not spoil the one that serves.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._cert, self._key)
        self.context.load_cert_chain(self._cert, self._key)
        self._seen = seen

    def _state(self) -> tuple[object, ...]:
        stats = [os.stat(path) for path in (self._cert, self._key)]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in stats)
