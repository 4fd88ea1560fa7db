from __future__ import annotations

import pytest

from cni.chain import Chain
from cni.config import NetworkConfig, parse_list
from cni.errors import (
    CniError,
    DecodeFailure,
    IncompatibleVersion,
    InvalidNetworkConfig,
    PluginNotAvailable,
    PluginNotFound,
    TryAgainLater,
)
from cni.execute import Completed
from cni.result import Result, from_json
from tests.unit.cni.conftest import Bench, attachment, conflist, failed, ok

RESULT = from_json({"cniVersion": "1.0.0", "ips": [{"address": "10.9.9.9/24"}]}, "1.0.0")


async def add(bench: Bench, config: NetworkConfig) -> Result:
    return await Chain(bench.plugins, config).add(config.cni_version, attachment())


async def test_add_hands_each_result_to_the_next_and_returns_the_last(bench: Bench) -> None:
    bench.fake.answers["two", "ADD"] = ok({"cniVersion": "1.0.0", "ips": [{"address": "10.2.2.2/24"}]})
    result = await add(bench, conflist())
    first, second = bench.fake.calls
    assert "prevResult" not in first.request
    assert second.request["prevResult"]["ips"] == [{"address": "10.1.0.2/24"}]
    assert str(result.ips[0].address) == "10.2.2.2/24"


async def test_a_network_without_plugins_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidNetworkConfig, match="has no plugins"):
        await add(bench, parse_list(b'{"name": "net", "cniVersion": "1.0.0"}'))


async def test_add_stops_at_the_first_failure(bench: Bench) -> None:
    bench.fake.answers["one", "ADD"] = failed(11)
    with pytest.raises(TryAgainLater):
        await add(bench, conflist())
    assert bench.fake.told() == [("one", "ADD")]


async def test_a_result_of_no_use_names_its_plugin(bench: Bench) -> None:
    bench.fake.answers["two", "ADD"] = Completed(0, b"hello")
    with pytest.raises(DecodeFailure, match=r'plugin "two" ADD: the plugin\'s result cannot be used: result: not JSON'):
        await add(bench, conflist())


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
async def test_a_plugin_that_answers_in_another_version_is_translated_for_the_next(bench: Bench, version: str) -> None:
    bench.fake.answers["one", "ADD"] = ok({"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.5/16"}})
    await add(bench, conflist(cniVersion=version))
    previous = bench.fake.calls[1].request["prevResult"]
    assert previous["cniVersion"] == version
    assert previous["ips"][0]["address"] == "10.1.0.5/16"


async def test_delete_runs_backwards_and_to_the_end(bench: Bench) -> None:
    bench.fake.answers["two", "DEL"] = failed(11, "two is busy")
    (bench.bin_dir / "one").unlink()
    config = conflist("net", "one", "two", "two")
    errors = await Chain(bench.plugins, config).delete("1.0.0", attachment(netns=""), RESULT)
    assert [type(error) for error in errors] == [TryAgainLater, TryAgainLater, PluginNotFound]
    assert bench.fake.told() == [("two", "DEL"), ("two", "DEL")]
    assert {call.env["CNI_NETNS"] for call in bench.fake.calls} == {""}


@pytest.mark.parametrize(("version", "passed"), [("0.3.1", False), ("0.4.0", True), ("1.1.0", True)])
async def test_delete_passes_the_result_since_0_4_0(bench: Bench, version: str, passed: bool) -> None:
    await Chain(bench.plugins, conflist()).delete(version, attachment(), RESULT)
    for call in bench.fake.calls:
        assert ("prevResult" in call.request) == passed
        if passed:
            assert call.request["prevResult"]["ips"][0]["address"] == "10.9.9.9/24"


async def test_an_unknown_container_is_no_failure_of_delete(bench: Bench) -> None:
    bench.fake.answers["two", "DEL"] = failed(3)
    assert await Chain(bench.plugins, conflist()).delete("1.0.0", attachment(), None) == []
    assert len(bench.fake.calls) == 2


async def test_check_gives_every_plugin_the_final_result_and_stops_at_the_first_complaint(bench: Bench) -> None:
    await Chain(bench.plugins, conflist()).check("1.0.0", attachment(), RESULT)
    assert bench.fake.told() == [("one", "CHECK"), ("two", "CHECK")]
    assert {call.request["prevResult"]["ips"][0]["address"] for call in bench.fake.calls} == {"10.9.9.9/24"}
    bench.fake.answers["one", "CHECK"] = failed(100, "gone")
    with pytest.raises(CniError, match="gone"):
        await Chain(bench.plugins, conflist()).check("1.0.0", attachment(), RESULT)
    assert len(bench.fake.calls) == 3


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0"])
async def test_status_and_gc_are_not_asked_before_1_1_0(bench: Bench, version: str) -> None:
    config = conflist(cniVersion=version)
    await Chain(bench.plugins, config).status()
    assert await Chain(bench.plugins, config).gc(()) == []
    assert bench.fake.calls == []


async def test_status_needs_the_programs_whatever_the_version(bench: Bench) -> None:
    (bench.bin_dir / "two").unlink()
    with pytest.raises(PluginNotFound, match='plugin "two"'):
        await Chain(bench.plugins, conflist()).status()


async def test_status_is_the_plugins_own_word(bench: Bench) -> None:
    config = conflist(cniVersion="1.1.0")
    await Chain(bench.plugins, config).status()
    assert bench.fake.told() == [("one", "STATUS"), ("two", "STATUS")]
    assert "CNI_CONTAINERID" not in bench.fake.calls[0].env
    bench.fake.answers["two", "STATUS"] = failed(50, "pool is empty")
    with pytest.raises(PluginNotAvailable, match=r'plugin "two" STATUS: pool is empty'):
        await Chain(bench.plugins, config).status()


async def test_a_plugin_too_old_for_the_network_is_told_by_status_and_passed_over_by_gc(bench: Bench) -> None:
    config = conflist(cniVersion="1.1.0")
    bench.fake.versions["two"] = ["0.4.0", "1.0.0"]
    with pytest.raises(IncompatibleVersion) as caught:
        await Chain(bench.plugins, config).status()
    assert 'plugin "two" STATUS: speaks "0.4.0", "1.0.0"; network "net" asks for "1.1.0"' in str(caught.value)
    bench.fake.calls.clear()
    assert await Chain(bench.plugins, config).gc(()) == []
    assert bench.fake.told() == [("one", "GC")]


async def test_gc_names_the_valid_and_goes_on_after_failures(bench: Bench) -> None:
    bench.fake.answers["one", "GC"] = failed(100, "half done")
    errors = await Chain(bench.plugins, conflist(cniVersion="1.1.0")).gc({("c1", "eth0")})
    assert [str(error) for error in errors] == ['plugin "one" GC: half done (CNI code 100)']
    assert bench.fake.told() == [("one", "GC"), ("two", "GC")]
    assert bench.fake.calls[1].request["cni.dev/valid-attachments"] == [{"containerID": "c1", "ifname": "eth0"}]


async def test_gc_may_be_forbidden(bench: Bench) -> None:
    assert await Chain(bench.plugins, conflist(cniVersion="1.1.0", disableGC=True)).gc(()) == []
    assert bench.fake.calls == []


async def test_the_highest_common_version_is_spoken(bench: Bench) -> None:
    config = conflist(cniVersions=["0.4.0", "1.0.0", "1.1.0"])
    assert await Chain(bench.plugins, config).negotiate() == "1.1.0"
    bench.fake.versions["two"] = ["0.4.0"]
    (bench.bin_dir / "two").write_text("replaced by an older one")
    assert await Chain(bench.plugins, config).negotiate() == "0.4.0"


async def test_no_common_version_tells_who_speaks_what(bench: Bench) -> None:
    bench.fake.versions |= {"one": ["0.3.1"], "two": ["0.4.0"]}
    config = conflist(cniVersions=["0.4.0", "1.0.0"])
    with pytest.raises(IncompatibleVersion) as caught:
        await Chain(bench.plugins, config).negotiate()
    assert 'network "net" offers "0.4.0", "1.0.0"' in str(caught.value)
    assert 'one: "0.3.1"; two: "0.4.0"' in str(caught.value)
    assert await Chain(bench.plugins, config).fallback() == "1.0.0"


async def test_a_missing_plugin_does_not_keep_delete_from_finding_a_version(bench: Bench) -> None:
    (bench.bin_dir / "one").unlink()
    bench.fake.versions["two"] = ["0.4.0"]
    assert await Chain(bench.plugins, conflist(cniVersions=["0.4.0", "1.0.0"])).fallback() == "0.4.0"
