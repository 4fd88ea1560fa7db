from __future__ import annotations

from cni.attachment import Attachment
from cni.config import PluginConfig
from cni.request import PATH, environment, for_attachment, for_gc, for_network
from cni.result import Result, from_json

PLUGIN = PluginConfig(
    "bridge",
    frozenset({"portMappings", "mac"}),
    {
        "type": "bridge",
        "name": "own",
        "cniVersion": "0.1.0",
        "vendor": {"kept": [1]},
        "args": {"cni": {}},
        "capabilities": {"portMappings": True, "mac": True},
        "runtimeConfig": {"forged": 1},
        "prevResult": {"forged": 1},
        "cni.dev/valid-attachments": ["forged"],
    },
)
ATTACHMENT = Attachment("c1", "/run/netns/x", "eth0", (("K", "v"),), {"portMappings": [1], "dns": {}, "mac": None})
PREVIOUS = from_json({"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.2/24"}]}, "1.0.0")


def test_a_plugin_gets_its_own_keys_and_only_declared_capabilities() -> None:
    assert for_attachment(PLUGIN, "net", "1.0.0", ATTACHMENT, PREVIOUS) == {
        "type": "bridge",
        "name": "net",
        "cniVersion": "1.0.0",
        "vendor": {"kept": [1]},
        "args": {"cni": {}},
        "runtimeConfig": {"portMappings": [1]},
        "prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.2/24"}]},
    }


def test_the_first_add_has_no_previous_result_and_no_capabilities_means_no_runtime_config() -> None:
    request = for_attachment(PluginConfig("x", raw={"type": "x"}), "net", "1.0.0", ATTACHMENT, None)
    assert request == {"type": "x", "name": "net", "cniVersion": "1.0.0"}


def test_the_previous_result_is_written_in_the_requests_version() -> None:
    request = for_attachment(PLUGIN, "net", "0.4.0", ATTACHMENT, PREVIOUS)
    assert request["prevResult"] == {"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.0.0.2/24"}]}
    assert "prevResult" not in for_attachment(PLUGIN, "net", "0.2.0", ATTACHMENT, Result("0.2.0"))


def test_gc_names_the_valid_attachments_under_both_spellings() -> None:
    request = for_gc(PLUGIN, "net", "1.1.0", {("b", "eth0"), ("a", "eth0")})
    entries = [{"containerID": "a", "ifname": "eth0"}, {"containerID": "b", "ifname": "eth0"}]
    assert request["cni.dev/valid-attachments"] == request["cni.dev/attachments"] == entries
    assert "runtimeConfig" not in request
    assert "prevResult" not in request
    assert for_gc(PLUGIN, "net", "1.1.0", ())["cni.dev/valid-attachments"] == []


def test_status_gets_the_bare_configuration() -> None:
    assert for_network(PluginConfig("x", raw={"type": "x"}), "net", "1.1.0") == {
        "type": "x",
        "name": "net",
        "cniVersion": "1.1.0",
    }


def test_the_environment_is_fixed_and_whole() -> None:
    assert environment("ADD", ["/a", "/b"], ATTACHMENT) == {
        "PATH": PATH,
        "CNI_COMMAND": "ADD",
        "CNI_PATH": "/a:/b",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/run/netns/x",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "K=v",
    }
    assert environment("GC", ["/a"]) == {"PATH": PATH, "CNI_COMMAND": "GC", "CNI_PATH": "/a"}
