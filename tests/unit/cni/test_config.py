from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni.config import NetworkConfig, PluginConfig, check_type, parse_list, parse_plugin, parse_single
from cni.errors import IncompatibleVersion, InvalidNetworkConfig
from tests.unit.cni.conftest import caught


def read(**document: Any) -> NetworkConfig:
    return parse_list(json.dumps({"name": "net", "plugins": [{"type": "p"}]} | document).encode(), "10-net.conflist")


def test_a_list_is_read_whole() -> None:
    plugins = [
        {"type": "bridge", "bridge": "cni0", "ipam": {"type": "host-local"}},
        {"type": "portmap", "capabilities": {"portMappings": True, "snat": False}},
    ]
    config = read(cniVersion="1.0.0", disableCheck=True, disableGC="true", plugins=plugins)
    assert (config.name, config.versions, config.cni_version) == ("net", ("1.0.0",), "1.0.0")
    assert (config.disable_check, config.disable_gc, config.load_only_inlined) == (True, True, False)
    assert config.plugins == (
        PluginConfig("bridge", frozenset(), plugins[0]),
        PluginConfig("portmap", frozenset({"portMappings"}), plugins[1]),
    )
    assert config.source == "10-net.conflist"


def test_versions_are_the_union_that_is_spoken_here() -> None:
    assert read(cniVersion="0.4.0", cniVersions=["1.0.0", "1.1.0", "9.9.9"]).versions == ("0.4.0", "1.0.0", "1.1.0")
    assert read(cniVersions=["1.0.0"]).versions == ("1.0.0",)
    assert read().versions == ("0.1.0",)


@pytest.mark.parametrize("more", [{"cniVersion": "2.0.0"}, {"cniVersions": ["1.1"]}, {"cniVersion": "newest"}])
def test_a_version_of_no_use_is_told(more: dict[str, Any]) -> None:
    with pytest.raises(IncompatibleVersion, match=r"^10-net.conflist: "):
        read(**more)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": ""}, "conf.name: '' must start with"),
        ({"name": "../x"}, "conf.name: '../x'"),
        ({"name": "-x"}, "conf.name"),
        ({"name": "a\n"}, "conf.name"),
        ({"name": "x" * 129}, "conf.name"),
        ({"name": 5}, "conf.name: must be a string"),
        ({"plugins": []}, "conf.plugins: holds no plugin"),
        ({"plugins": {}}, "conf.plugins: must be a list"),
        ({"plugins": [{}]}, "conf.plugins[0].type: missing"),
        ({"plugins": [{"type": 1}]}, "conf.plugins[0].type: must be a string"),
        (
            {"plugins": [{"type": "a", "capabilities": {"x": 1}}]},
            "conf.plugins[0].capabilities.x: must be true or false",
        ),
        ({"plugins": [{"type": "a", "ipam": {"type": "../b"}}]}, "conf.plugins[0].ipam.type"),
        ({"plugins": [{"type": "a", "ipam": {"type": []}}]}, "conf.plugins[0].ipam.type: must be a string"),
        ({"disableCheck": "maybe"}, "conf.disableCheck"),
    ],
)
def test_a_bad_list_is_told_with_file_and_path(more: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidNetworkConfig) as caught:
        read(**more)
    assert str(caught.value).startswith("10-net.conflist: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "kind", ["", "a/b", "../evil", "/bin/sh", ".", "..", "a\\b", "a\0b", "a\nb", "x" * 256, "\ud800"]
)
def test_a_plugin_type_is_a_plain_file_name(kind: str) -> None:
    """CVE-2021-20206: a type with a slash ran any program of the host."""
    with pytest.raises(InvalidNetworkConfig, match="^where: "):
        check_type(kind, "where")
    with pytest.raises(InvalidNetworkConfig):
        parse_plugin(json.dumps({"type": kind}).encode())


def test_single_configurations() -> None:
    config = parse_single(b'{"cniVersion": "0.3.1", "name": "net", "type": "bridge", "bridge": "cni0"}', "f")
    assert [plugin.type for plugin in config.plugins] == ["bridge"]
    assert config.plugins[0].raw["bridge"] == "cni0"
    assert config.load_only_inlined


def test_a_file_of_the_other_kind_says_how_to_name_it() -> None:
    with pytest.raises(InvalidNetworkConfig, match=r"\.conflist"):
        parse_single(b'{"name": "net", "plugins": [{"type": "a"}]}', "f")
    with pytest.raises(InvalidNetworkConfig, match=r"\.conf"):
        parse_list(b'{"name": "net", "type": "a"}', "f")


def test_plugins_of_the_networks_own_directory_are_appended() -> None:
    own = (PluginConfig("own"),)
    assert [p.type for p in read().with_plugins(own).plugins] == ["p", "own"]
    assert [p.type for p in read(loadOnlyInlinedPlugins=True).with_plugins(own).plugins] == ["p"]
    bare = parse_list(b'{"name": "net"}')
    assert bare.with_plugins(own).plugins == own
    with pytest.raises(InvalidNetworkConfig, match="has no plugins"):
        bare.with_plugins(())
    with pytest.raises(InvalidNetworkConfig, match="holds no plugin"):
        parse_list(b'{"name": "net", "loadOnlyInlinedPlugins": true}')


def test_a_network_written_reads_back_the_same_and_whole() -> None:
    config = read(cniVersions=["0.4.0", "1.0.0"], disableGC=True).with_plugins(
        (PluginConfig("own", raw={"type": "own"}),)
    )
    again = parse_list(json.dumps(config.to_json()).encode())
    assert again.with_plugins((PluginConfig("more"),)).plugins == config.plugins
    assert (again.versions, again.disable_gc) == (config.versions, True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(["net", "1.0.0", "bridge"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "ipam", "capabilities", "name"]), inner, max_size=3)
    ),
)
FIELDS = st.sampled_from(
    ["name", "cniVersion", "cniVersions", "plugins", "type", "disableCheck", "loadOnlyInlinedPlugins"]
)


@given(st.dictionaries(FIELDS, VALUES).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=64))
def test_anything_is_a_configuration_or_a_cni_error(data: bytes) -> None:
    for parse in (parse_list, parse_single, parse_plugin):
        error = caught(partial(parse, data, "file"))
        assert error is None or str(error).startswith("file: ")
