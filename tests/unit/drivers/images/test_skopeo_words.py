"""What skopeo's words mean. The sentences are skopeo's own, of 1.9 and later."""

from __future__ import annotations

import pytest

from criserver import errors
from criserver.drivers.images.skopeo_words import asked_to_wait, explain


def said(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'time="2026-01-01T00:00:00Z" level=fatal msg="{escaped}"\n'


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("reading manifest 1 in reg/a: unauthorized: authentication required", errors.Unauthenticated),
        ("unable to retrieve auth token: invalid username/password: unauthorized: bad", errors.Unauthenticated),
        ("reading manifest 1 in reg/a: denied: requested access to the resource is denied", errors.PermissionDenied),
        (
            "initializing source docker://a: registry a is blocked in /etc/containers/registries.conf",
            errors.PermissionDenied,
        ),
        ("Source image rejected: Running image docker://a is rejected by policy.", errors.SignatureRejected),
        ("reading manifest nope in reg/a: manifest unknown: manifest unknown", errors.NotFound),
        ("reading manifest 1 in reg/a: name unknown: repository name not known to registry", errors.NotFound),
        ('choosing image: no image found in manifest list for architecture "amd64"', errors.NotFound),
        (
            'pinging container registry reg: Get "https://reg/v2/": dial tcp: lookup reg: no such host',
            errors.Unavailable,
        ),
        (
            'pinging container registry reg: Get "https://reg/v2/": x509: certificate signed by unknown',
            errors.Unavailable,
        ),
        ("fetching blob: toomanyrequests: slow down", errors.Busy),
        ("Error reading blob: read tcp 1.2.3.4:1->5.6.7.8:443: read: connection reset by peer", errors.Unavailable),
        ("corrupted blob, expecting sha256:aa", errors.DataLoss),
        ("reading manifest: received unexpected HTTP status: 503 Service Unavailable", errors.Unavailable),
        ("invalid status code from registry 500 (Internal Server Error)", errors.Unavailable),
        ("writing blob: Digest did not match, expected sha256:aa, got sha256:bb", errors.DataLoss),
        ("writing blob: copying: unexpected EOF", errors.Unavailable),
        ("reading manifest: exceeded maximum allowed size of 4194304 bytes", errors.ResourceExhausted),
        ("writing blob: write /x: no space left on device", errors.ResourceExhausted),
        ("something never seen before", errors.Internal),
    ],
)
def test_meanings_keep_the_words(words: str, meaning: type[errors.CriError]) -> None:
    error = explain("docker://reg/a:1", said(words), 1)
    assert type(error) is meaning
    assert str(error).startswith("docker://reg/a:1: ")
    assert words in str(error)


def test_the_last_fatal_line_counts_and_warnings_do_not() -> None:
    output = 'time="t" level=warning msg="unauthorized"\n' + said("manifest unknown")
    assert type(explain("s", output, 1)) is errors.NotFound


def test_output_without_a_log_line() -> None:
    assert "panic: oh" in str(explain("s", "panic: oh\n", 2))
    assert "status 3: no output" in str(explain("s", "", 3))


def test_secrets_in_urls_are_not_passed_on() -> None:
    words = 'Get "https://user:word@cdn/blob?X-Amz-Signature=secret&x=y": dial tcp: refused'
    text = str(explain("s", said(words), 1))
    assert "secret" not in text
    assert "word" not in text
    assert "https://cdn/blob?…" in text


def test_a_skopeo_that_goes_on_has_not_ended() -> None:
    assert str(explain("s", "write |1: broken pipe")) == "s: write |1: broken pipe"


DEBUG = 'time="t" level=debug msg="Detected \'Retry-After\' header \\"3600\\""\n'


def test_how_long_a_registry_wants_to_be_left_alone() -> None:
    error = explain("s", DEBUG + said("toomanyrequests: slow down"), 1)
    assert type(error) is errors.Busy
    assert str(error) == "s: toomanyrequests: slow down: it asks to be left alone (Retry-After: 3600)"
    late = asked_to_wait("s", DEBUG, 120)
    assert str(late) == (
        "s: too many requests to the registry: it asks to be left alone (Retry-After: 3600); given up after 120 s"
    )
    assert asked_to_wait("s", said("something else"), 120) is None
