"""pip's installation report (argument 1) as a requirements file with one version and hash for each dependency."""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    report = json.load(file)
print("# What bundles and the Debian package hold. Written by `hack/package lock`; wheels for one Python and machine.")
for item in sorted(report["install"], key=lambda each: each["metadata"]["name"].lower()):
    name, version = item["metadata"]["name"], item["metadata"]["version"]
    if name != "criserver":
        print(f"{name}=={version} --hash=sha256:{item['download_info']['archive_info']['hashes']['sha256']}")
