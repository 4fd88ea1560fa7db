"""What pulls need: skopeo, a signature policy, registries.conf, credentials."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from criserver.config.schema import Config
from criserver.doctor.finding import Finding, error, note, ok, warning
from criserver.doctor.runtimes import parse_version
from criserver.errors import CriError
from criserver.kernel import process

OLDEST = (1, 4)
POLICIES = ("/etc/containers/policy.json", "/usr/share/containers/policy.json")
REGISTRIES = "/etc/containers/registries.conf"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What was found; the troubles are empty where all is well."""

    skopeo: str = ""
    skopeo_trouble: str = ""
    policy: str = ""
    policy_trouble: str = ""
    registries: str = ""
    registries_trouble: str = ""
    short_names: bool = True
    auth_trouble: str = ""


async def read(config: Config) -> ImageFacts:
    """Look at the programs and files of section `image`."""
    section = config.image
    skopeo, skopeo_trouble = await _skopeo(section.skopeo)
    policy = section.policy or next(filter(os.path.isfile, POLICIES), POLICIES[0])
    registries = section.registries_conf or REGISTRIES
    document, registries_trouble = _toml(registries)
    return ImageFacts(
        skopeo=skopeo,
        skopeo_trouble=skopeo_trouble,
        policy=policy,
        policy_trouble=_json_trouble(policy),
        registries=registries,
        registries_trouble=registries_trouble,
        short_names=bool(document.get("unqualified-search-registries")),
        auth_trouble=_json_trouble(section.auth_file) if section.auth_file else "",
    )


def judge(facts: ImageFacts) -> Iterator[Finding]:
    """Findings about pulls."""
    if facts.skopeo_trouble:
        yield error(f"skopeo cannot be used: {facts.skopeo_trouble}", "no image can be pulled", "apt install skopeo")
    elif parse_version(facts.skopeo) < OLDEST:
        yield warning(f"skopeo {facts.skopeo} is old", "some registries fail", "install skopeo 1.4 or later")
    else:
        yield ok(f"skopeo {facts.skopeo}")
    if facts.policy_trouble:
        yield error(
            f"signature policy {facts.policy}: {facts.policy_trouble}", "skopeo refuses every pull",
            "apt install golang-github-containers-image; or set image.policy",
        )  # fmt: skip
    else:
        yield ok(f"signature policy {facts.policy}")
    if facts.registries_trouble:
        yield error(f"{facts.registries}: {facts.registries_trouble}", "skopeo refuses every pull", "mend the file")
    if not facts.short_names:
        yield note(
            f"no unqualified-search-registries in {facts.registries}", "names like `busybox` mean docker.io's",
        )  # fmt: skip
    if facts.auth_trouble:
        yield error(
            f"image.auth_file: {facts.auth_trouble}", "pulls without credentials of their own fail", "mend the file"
        )


async def _skopeo(name: str) -> tuple[str, str]:
    try:
        done = await process.run([process.find_program(name), "--version"], timeout=10)
    except CriError as problem:
        return "", str(problem)
    words = done.stdout.decode(errors="replace").split()
    return (words[2], "") if done.returncode == 0 and len(words) > 2 else ("", done.failure)


def _toml(path: str) -> tuple[dict[str, object], str]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file), ""
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError) as problem:
        return {}, str(problem)


def _json_trouble(path: str) -> str:
    try:
        with open(path) as file:
            json.load(file)
    except FileNotFoundError:
        return "is not there"
    except (OSError, ValueError) as problem:
        return f"cannot be read: {problem}"
    return ""
