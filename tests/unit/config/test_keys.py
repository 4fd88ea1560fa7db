import pytest

from criserver.config import keys
from criserver.config.schema import Config, LogLevel
from criserver.errors import ConfigError


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"listn": ""}, "unknown key listn; did you mean listen?"),
        ({"network": {"confdir": "/x"}}, "unknown key network.confdir; did you mean network.conf_dir?"),
        ({"runtime": {"handlers": {"kata": {"paht": ""}}}}, "unknown key runtime.handlers.kata.paht; did you mean"),
        ({"metrics": {"zzz": 1}}, "unknown key metrics.zzz; known here are address, port"),
        ({"root": 5}, "root must be a string, not 5"),
        ({"root": None}, "root must be a string, not None"),
        ({"streaming": {"port": "80"}}, "streaming.port must be a whole number, not '80'"),
        ({"streaming": {"port": True}}, "streaming.port must be a whole number, not True"),
        ({"metrics": {"port": "x"}}, "metrics.port must be a whole number or null, not 'x'"),
        ({"network": {"plugin_timeout": "1s"}}, "network.plugin_timeout must be a number, not '1s'"),
        ({"network": {"bin_dirs": "/x"}}, "network.bin_dirs must be a list of strings, not '/x'"),
        ({"network": {"bin_dirs": [1]}}, "network.bin_dirs must be a list of strings, not [1]"),
        ({"log_level": "loud"}, "log_level must be one of debug, info, warning, error, not 'loud'"),
        ({"log_level": False}, "log_level must be one of debug, info, warning, error, not False"),
        ({"network": 3}, "network must be a mapping of keys to values, not 3"),
        ({"runtime": {"handlers": ["x"]}}, "runtime.handlers must be a mapping of keys to values, not ['x']"),
        ({"root": {"a": "b" * 200}}, "root must be a string, not {'a': 'bbb"),
    ],
)
def test_a_wrong_key_or_type_is_named(data: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        keys.check(data, Config)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 200


def test_an_empty_section_is_a_section() -> None:
    checked = keys.check({"network": None, "runtime": {"handlers": {"x": None}}}, Config)
    assert checked == {"network": {}, "runtime": {"handlers": {"x": {}}}}
    assert keys.build(checked, Config).network == Config().network


def test_build_fills_in_defaults_and_types() -> None:
    built = keys.build({"log_level": "debug", "network": {"bin_dirs": ["/a"]}}, Config)
    assert (built.log_level, built.network.bin_dirs, built.root) == (LogLevel.DEBUG, ("/a",), Config().root)


def test_merge_is_deep_for_mappings_and_whole_for_lists() -> None:
    base: dict[str, object] = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert keys.merge(base, {"a": {"c": [3]}, "e": 2}) == {"a": {"b": 1, "c": [3]}, "d": 1, "e": 2}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


def test_leaves_are_dotted() -> None:
    assert keys.leaves({"a": {"b": 1, "c": {"d": []}}, "e": None}) == ["a.b", "a.c.d", "e"]
