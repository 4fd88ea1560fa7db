"""Credentials stay out of whatever is printed."""

from criserver.model.image import Credentials


def test_nothing_that_prints_credentials_tells_them() -> None:
    held = Credentials("user", "hunter2", "dXNlcjpodW50ZXIy", "registry.example", "identity", "token")
    for shown in (repr(held), str(held), f"{held}", f"{held!r}", repr({"auth": held}), repr((held,))):
        assert not [part for part in ("user", "hunter2", "dXNl", "identity", "token") if part in shown]
    assert held == Credentials("user", "hunter2", "dXNlcjpodW50ZXIy", "registry.example", "identity", "token")
