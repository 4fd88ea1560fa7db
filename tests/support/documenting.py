"""criserver, which also keeps each config.json that it writes: `-m tests.support.documenting`, for `conftest.serving`.

They are lines of DOCUMENTS, beside the directories of the server.
"""

from __future__ import annotations

import os
import sys

from criserver.cli.main import main
from criserver.drivers.runtime.bundles import BundlesDriver

DOCUMENTS = "documents.jsonl"
write = BundlesDriver._write


def kept(driver: BundlesDriver, container_id: str, data: bytes) -> None:
    """Write a document where it belongs, and where it outlives its container."""
    write(driver, container_id, data)
    with open(f"{os.path.dirname(os.path.dirname(driver._state))}/{DOCUMENTS}", "ab") as file:
        file.write(data + b"\n")


if __name__ == "__main__":
    BundlesDriver._write = kept  # type: ignore[method-assign, assignment]
    sys.exit(main())
