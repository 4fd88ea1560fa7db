"""Reloads: as a whole or not at all, live keys at once, the others told apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from criserver.config.live import Change, Live
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


def test_the_live_keys_of_a_handler_are_taken_up_and_the_others_wait() -> None:
    source = Source()
    live = Live(source)
    handlers = {**Config().runtime.handlers, "runc": Handler(path="/opt/runc", annotations=("a",))}
    source.config = Config(runtime=RuntimeConfig(handlers=handlers))
    changes = live.reload()
    assert [each.key for each in changes.applied] == ["runtime.handlers.runc.annotations"]
    assert [each.key for each in changes.waiting] == ["runtime.handlers.runc.path"]
    assert live.current.runtime.handlers["runc"] == Handler(annotations=("a",))


def test_a_handler_that_is_gone_stays_until_the_restart() -> None:
    source = Source()
    live = Live(source)
    source.config = Config(runtime=RuntimeConfig(handlers={"crun": Config().runtime.handlers["crun"]}))
    assert [(each.key, each.new) for each in live.reload().waiting] == [("runtime.handlers.runc", None)]
    assert live.current == Config()


def test_what_cannot_be_prepared_changes_nothing() -> None:
    def prepare(config: Config) -> None:
        raise ConfigError(f"no umask {config.runtime.umask}")

    source = Source()
    live = Live(source)
    source.config = Config(log_level=LogLevel.DEBUG, runtime=RuntimeConfig(umask="0077"))
    with pytest.raises(ConfigError, match="no umask 0077"):
        live.reload(prepare)
    assert live.current == Config()
    prepared: list[Config] = []
    live.reload(prepared.append)
    assert prepared == [live.current] == [source.config]


def keys(section: object, *above: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Every key below a section, and whether it is live."""
    for each in dataclasses.fields(section):  # type: ignore[arg-type] # every section is a dataclass
        value = getattr(section, each.name)
        if dataclasses.is_dataclass(value):
            yield from keys(value, *above, each.name)
        else:
            yield (*above, each.name), bool(each.metadata.get("live"))


def changed(section: Any, place: tuple[str, ...]) -> Any:
    """The section with another value at that place."""
    name, *below = place
    value = changed(getattr(section, name), tuple(below)) if below else "other"
    return dataclasses.replace(section, **{name: value})


@pytest.mark.parametrize(
    ("place", "is_live"), [each for each in keys(Config()) if each[0] != ("runtime", "handlers")], ids=str
)
def test_each_key_is_taken_up_or_waits_as_the_schema_says(place: tuple[str, ...], is_live: bool) -> None:
    source = Source()
    live = Live(source)
    source.config = changed(Config(), place)
    changes = live.reload()
    assert [each.key for each in (changes.applied if is_live else changes.waiting)] == [".".join(place)]
    assert not (changes.waiting if is_live else changes.applied)
    assert (live.current == source.config) == is_live
