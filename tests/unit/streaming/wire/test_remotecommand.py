from __future__ import annotations

import json

import pytest

from criserver.streaming.wire.remotecommand import Status, StreamOptions, StreamType, Version

ERROR, IN, OUT, ERR, SIZE = (
    StreamType.ERROR,
    StreamType.STDIN,
    StreamType.STDOUT,
    StreamType.STDERR,
    StreamType.RESIZE,
)


@pytest.mark.parametrize(
    ("options", "version", "expected"),
    [
        (StreamOptions(stdin=True, stdout=True, stderr=True, tty=False), Version.V4, {ERROR, IN, OUT, ERR}),
        (StreamOptions(stdin=False, stdout=True, stderr=False, tty=False), Version.V5, {ERROR, OUT}),
        (StreamOptions(stdin=True, stdout=True, stderr=True, tty=True), Version.V3, {ERROR, IN, OUT, SIZE}),
        (StreamOptions(stdin=True, stdout=True, stderr=False, tty=True), Version.V2, {ERROR, IN, OUT}),
    ],
)
def test_expected_streams(options: StreamOptions, version: Version, expected: set[StreamType]) -> None:
    assert options.expected(version) == expected


@pytest.mark.parametrize("version", [Version.V4, Version.V5])
def test_status_is_what_kubectl_reads(version: Version) -> None:
    """metav1.Status: Success; or Failure, for a command that ran with NonZeroExitCode and an ExitCode cause."""
    assert json.loads(Status(0).encode(version)) == {"metadata": {}, "status": "Success"}
    assert json.loads(Status(137, "killed").encode(version)) == {
        "metadata": {},
        "status": "Failure",
        "message": "killed",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": "137"}]},
    }
    assert json.loads(Status(None, "no such container").encode(version)) == {
        "metadata": {},
        "status": "Failure",
        "message": "no such container",
        "reason": "InternalError",
        "code": 500,
    }


@pytest.mark.parametrize("version", [Version.V1, Version.V2, Version.V3])
def test_status_before_v4_is_text(version: Version) -> None:
    assert Status(0, "fine").encode(version) == b""
    assert Status(3).encode(version) == b"command terminated with exit code 3"
    assert Status(None, "no such container").encode(version) == b"no such container"
