"""Which profiles there are, and what the default one says; that the kernel takes it, tests/client looks at."""

from __future__ import annotations

from pathlib import Path

import pytest

from criserver.drivers.host import apparmor


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel's files, empty."""
    monkeypatch.setattr(apparmor, "_ENABLED", str(tmp_path / "enabled"))
    monkeypatch.setattr(apparmor, "_LOADED", str(tmp_path / "profiles"))
    return tmp_path


@pytest.mark.parametrize("enabled", ["N\n", None])
async def test_a_kernel_without_it(kernel: Path, enabled: str | None, caplog: pytest.LogCaptureFixture) -> None:
    if enabled:
        (kernel / "enabled").write_text(enabled)
    assert not apparmor.enabled() and apparmor.loaded() is None
    await apparmor.load_default()
    assert not caplog.records


def test_profiles(kernel: Path) -> None:
    (kernel / "enabled").write_text("Y\n")
    (kernel / "profiles").write_text("criserver-default (enforce)\n/usr/bin/man (complain)\na (b) (unconfined)\n")
    assert apparmor.loaded() == frozenset(("criserver-default", "/usr/bin/man", "a (b)"))


async def test_what_cannot_be_loaded_is_told(
    kernel: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (kernel / "enabled").write_text("Y\n")
    monkeypatch.setattr(apparmor, "_PARSER", ("/nowhere/apparmor_parser",))
    await apparmor.load_default()
    monkeypatch.setattr(apparmor, "_PARSER", ("sh", "-c", "echo syntax error; exit 1"))
    await apparmor.load_default()
    missing, refused = (record.getMessage() for record in caplog.records)
    assert "criserver-default is not loaded: program /nowhere/apparmor_parser is not there" in missing
    assert "AppArmor does not take the profile criserver-default" in refused and "syntax error" in refused


def test_the_profile_names_itself() -> None:
    text = apparmor.profile("x")
    assert "profile x flags" in text and "peer=x," in text
    assert text.count("{") == text.count("}")
