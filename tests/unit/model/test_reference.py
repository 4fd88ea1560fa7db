"""References: what people write becomes one spelling, and what could be read in two ways is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.errors import InvalidArgument
from criserver.model.reference import Reference, is_digest, parse_digest, parse_reference, split_short

HEX = "0123456789abcdef" * 4
SHA256 = f"sha256:{HEX}"
SHA512 = f"sha512:{HEX}{HEX}"


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest"),
        ("user/app", "docker.io/user/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("LOCAL/app", "LOCAL/app:latest"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"),
        ("host:5000/app:v1", "host:5000/app:v1"),
        ("[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app:latest"),
        ("a/b__c.d-e--f", "docker.io/a/b__c.d-e--f:latest"),
        (f"busybox@{SHA256}", f"docker.io/library/busybox@{SHA256}"),
        (f"registry.k8s.io/pause:3.10@{SHA512}", f"registry.k8s.io/pause@{SHA512}"),
    ],
)
def test_normalised(text: str, normalised: str) -> None:
    reference = parse_reference(text)
    assert str(reference) == normalised
    assert parse_reference(str(reference)) == Reference(
        reference.domain, reference.path, "" if reference.digest else reference.tag, reference.digest
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Busybox",
        "busybox:",
        "busybox@",
        "a//b",
        "/a",
        "a/",
        "a:b:c",
        "a b",
        "host:99999999/a",
        "a@sha256:abc",
        f"a@sha256:{HEX.upper()}",
        f"a@sha256:{HEX[:-1]}",
        f"a@md5:{HEX[:32]}",
        f"a@sha256:../../../{HEX[9:]}",
        f"a@{SHA256}@{SHA256}",
        f"a:{'t' * 129}",
        f"a.example/{'n' * 260}",
        HEX,
        "../a",
        "a/../b",
        "a\nb",
        "a\0",
        "-a",
        "docker://busybox",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_reference(text)


def test_tagged_is_empty_for_a_digest() -> None:
    assert parse_reference("a:1").tagged == "docker.io/library/a:1"
    assert parse_reference(f"a:1@{SHA256}").tagged == ""


@pytest.mark.parametrize("text", [SHA256, SHA512, f"sha384:{HEX[:32] * 3}"])
def test_digests(text: str) -> None:
    assert is_digest(text)
    assert parse_digest(text) == text


@pytest.mark.parametrize(
    "text", ["", "sha256", "sha256:", SHA256.upper(), SHA256 + "0", f"sha257:{HEX}", f"sha256:{'g' * 64}"]
)
def test_no_digests(text: str) -> None:
    assert not is_digest(text)
    with pytest.raises(InvalidArgument, match="layer digest"):
        parse_digest(text, "layer digest")


@given(st.text(max_size=80))
def test_any_text_is_refused_or_settles_at_once(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidArgument:
        return
    assert str(parse_reference(str(reference))) == str(reference)
    assert ".." not in reference.path.split("/")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("a", ("a", "")),
        ("a/b:1", ("a/b", ":1")),
        ("a:1@sha256:x", ("a", ":1@sha256:x")),
        ("a@sha256:x", ("a", "@sha256:x")),
        ("a.b/c", None),
        ("localhost/a", None),
        ("r:5000/a:1", None),
        ("", None),
    ],
)
def test_short_names_have_no_registry(text: str, short: tuple[str, str] | None) -> None:
    assert split_short(text) == short
