"""Reloads: as a whole or not at all, live keys at once, the others told apart."""

from __future__ import annotations

import dataclasses

import pytest

from criserver.config.live import LIVE, Change, Live
from criserver.config.schema import Config, Handler, ImageConfig, LogLevel, NetworkConfig, RuntimeConfig
from criserver.errors import ConfigError


class Source:
    """Files that a test changes."""

    def __init__(self) -> None:
        self.config = Config()
        self.fault = ""

    def __call__(self) -> Config:
        if self.fault:
            raise ConfigError(self.fault)
        return self.config


def test_nothing_changed() -> None:
    source = Source()
    live = Live(source)
    changes = live.reload()
    assert not changes.applied
    assert not changes.waiting
    assert changes.lines() == ["nothing changed"]


def test_a_live_key_is_taken_up() -> None:
    source = Source()
    live = Live(source)
    source.config = Config(log_level=LogLevel.DEBUG, image=ImageConfig(pinned=("a:1",)))
    changes = live.reload()
    assert changes.applied == (
        Change("log_level", LogLevel.INFO, LogLevel.DEBUG), Change("image.pinned", (), ("a:1",)),
    )
    assert live.current.log_level is LogLevel.DEBUG
    assert live.current.image.pinned == ("a:1",)
    assert live.reload().applied == ()


def test_other_keys_wait_for_a_restart_and_are_named_each_time() -> None:
    source = Source()
    live = Live(source)
    source.config = Config(log_level=LogLevel.DEBUG, network=NetworkConfig(conf_dir="/elsewhere"))
    changes = live.reload()
    assert [each.key for each in changes.waiting] == ["network.conf_dir"]
    assert live.current.network.conf_dir == "/etc/cni/net.d"
    assert "network.conf_dir: '/etc/cni/net.d' → '/elsewhere' after a restart" in changes.lines()
    assert [each.key for each in live.reload().waiting] == ["network.conf_dir"]


def test_handlers_are_compared_by_name() -> None:
    source = Source()
    live = Live(source)
    handlers = {**Config().runtime.handlers, "runc": Handler(path="/opt/runc"), "new": Handler()}
    source.config = Config(runtime=RuntimeConfig(handlers=handlers))
    assert [each.key for each in live.reload().waiting] == ["runtime.handlers.runc.path", "runtime.handlers.new"]


def test_what_is_wrong_changes_nothing() -> None:
    source = Source()
    live = Live(source)
    before = live.current
    source.fault = "config.yaml: unknown key lgo_level"
    with pytest.raises(ConfigError, match="lgo_level"):
        live.reload()
    assert live.current is before


def test_every_live_key_is_a_key() -> None:
    def has(section: object, names: list[str]) -> bool:
        value = getattr(section, names[0])
        return has(value, names[1:]) if len(names) > 1 else not dataclasses.is_dataclass(value)

    assert LIVE
    assert all(has(Config(), key.split(".")) for key in LIVE)
