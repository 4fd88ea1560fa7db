"""Self-signed certificates for the loopback address, by openssl(1)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def missing() -> str:
    """Why none can be made, or nothing."""
    return "" if shutil.which("openssl") else "openssl is missing (apt-get install openssl)"


def make(cert: Path, key: Path, name: str) -> None:
    """A new pair at these paths."""
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    argv += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(argv, check=True, capture_output=True)
