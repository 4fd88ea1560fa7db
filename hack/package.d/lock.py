"""pip's installation reports (the arguments) as one requirements file: a version of each dependency, and its wheels.

Exits with the name of a dependency that the reports disagree about.
"""

import json
import sys

versions: dict[str, str] = {}
hashes: dict[str, set[str]] = {}
for report in sys.argv[1:]:
    with open(report, encoding="utf-8") as file:
        installed = json.load(file)["install"]
    for item in installed:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        if versions.setdefault(name, version) != version:
            sys.exit(f"{name} is {versions[name]} for one Python and {version} for another: bound it in pyproject.toml")
        hashes.setdefault(name, set()).add(item["download_info"]["archive_info"]["hashes"]["sha256"])

print("# What bundles and the Debian package hold, for each Python and machine. Written by `hack/package lock`.")
for name in sorted(versions, key=str.lower):
    print(" \\\n    ".join([f"{name}=={versions[name]}", *(f"--hash=sha256:{each}" for each in sorted(hashes[name]))]))
