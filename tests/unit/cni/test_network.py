from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from cni import delete_all
from cni.errors import (
    AlreadyAttached,
    CniError,
    InvalidParameter,
    IOFailure,
    NotAttached,
    PluginCrashed,
    PluginNotFound,
    SeveralErrors,
    TryAgainLater,
)
from cni.execute import Completed
from tests.unit.cni.conftest import NETNS, Bench, Call, attachment, conflist, failed, ok

ADDED = [("one", "ADD"), ("two", "ADD")]
DELETED = [("two", "DEL"), ("one", "DEL")]


def cached_keys(bench: Bench) -> list[tuple[str, str]]:
    return [(c.attachment.container_id, c.attachment.ifname) for c in bench.cache.attachments()]


async def test_add_remembers_and_delete_forgets(bench: Bench) -> None:
    network = bench.network()
    result = await network.add(attachment())
    (cached,) = bench.cache.attachments()
    assert cached.result == result
    await network.delete(attachment())
    assert bench.fake.told() == ADDED + DELETED
    assert cached_keys(bench) == []
    assert bench.fake.calls[2].request["prevResult"]["ips"] == [{"address": "10.1.0.2/24"}]


async def test_delete_may_be_repeated_and_needs_no_add(bench: Bench) -> None:
    await bench.network().delete(attachment())
    await bench.network().delete(attachment())
    assert bench.fake.told() == DELETED * 2
    assert "prevResult" not in bench.fake.calls[0].request


async def test_an_add_that_fails_is_undone_whole(bench: Bench) -> None:
    bench.fake.answers["two", "ADD"] = failed(11, "busy")
    with pytest.raises(TryAgainLater) as caught:
        await bench.network().add(attachment())
    assert bench.fake.told() == ADDED + DELETED
    assert cached_keys(bench) == []
    assert caught.value.undo_error is None


async def test_an_undo_that_fails_is_told_and_stays_remembered_for_gc(bench: Bench) -> None:
    bench.fake.answers["two", "ADD"] = failed(11, "busy")
    bench.fake.answers["one", "DEL"] = failed(100, "stuck")
    with pytest.raises(TryAgainLater, match=r"busy .*; undoing it failed too: plugin \"one\" DEL: stuck"):
        await bench.network().add(attachment())
    assert cached_keys(bench) == [("c1", "eth0")]
    del bench.fake.answers["one", "DEL"]
    assert await bench.network().gc(()) == (("c1", "eth0"),)
    assert cached_keys(bench) == []


async def test_a_missing_plugin_fails_add_before_anything_is_done(bench: Bench) -> None:
    (bench.bin_dir / "two").unlink()
    with pytest.raises(PluginNotFound, match='plugin "two"'):
        await bench.network().add(attachment())
    assert bench.fake.calls == []
    assert cached_keys(bench) == []


async def test_the_attachment_is_on_disk_before_the_first_plugin_runs(bench: Bench) -> None:
    """So that a crash at any time leaves something for DEL and GC to go by."""
    seen = []

    def look(_: Call) -> Completed:
        seen.extend(cached_keys(bench))
        return failed(100)

    bench.fake.answers["one", "ADD"] = look
    with pytest.raises(CniError):
        await bench.network().add(attachment())
    assert seen == [("c1", "eth0")]


async def test_a_cache_that_cannot_be_written_fails_add(bench: Bench, bin_dir: Path) -> None:
    bench.cache.directory = str(bin_dir / "one")
    with pytest.raises(IOFailure, match="cannot be"):
        await bench.network().add(attachment())
    assert ("one", "ADD") not in bench.fake.told()


async def test_a_second_add_is_refused_in_any_network(bench: Bench) -> None:
    """Its undo would take away the first one's interface."""
    await bench.network().add(attachment())
    bench.fake.calls.clear()
    for name in ("net", "other"):
        with pytest.raises(AlreadyAttached, match=r'container c1 has eth0 in network "net"; delete that first'):
            await bench.network(conflist(name)).add(attachment())
    assert bench.fake.calls == []
    await bench.network(conflist("other")).add(attachment(ifname="eth1"))


async def test_add_needs_a_netns(bench: Bench) -> None:
    with pytest.raises(InvalidParameter, match="network namespace"):
        await bench.network().add(attachment(netns=""))


@pytest.mark.parametrize("netns", ["", "gone", "plain file"])
async def test_delete_tells_plugins_that_the_netns_is_gone(bench: Bench, tmp_path: Path, netns: str) -> None:
    (tmp_path / "plain file").touch()
    path = str(tmp_path / netns) if netns else ""
    await bench.network().add(attachment())
    bench.fake.calls.clear()
    await bench.network().delete(attachment(netns=path))
    assert [call.env["CNI_NETNS"] for call in bench.fake.calls] == ["", ""]


async def test_delete_goes_by_what_add_was_given(bench: Bench) -> None:
    args, capabilities = (("K", "v"),), {"portMappings": [{"hostPort": 8080}]}
    await bench.network().add(attachment(args=args, capability_args=capabilities))
    bench.fake.calls.clear()
    await bench.network(conflist("net", "two")).delete(attachment())
    assert bench.fake.told() == DELETED
    for call in bench.fake.calls:
        assert call.env["CNI_ARGS"] == "K=v"
        assert call.env["CNI_NETNS"] == NETNS
        assert call.request["runtimeConfig"] == capabilities


async def test_delete_keeps_every_error_and_the_attachment_until_it_works(bench: Bench) -> None:
    await bench.network().add(attachment())
    bench.fake.answers |= {("one", "DEL"): failed(11, "first"), ("two", "DEL"): Completed(-9)}
    with pytest.raises(SeveralErrors) as caught:
        await bench.network().delete(attachment())
    assert [type(error) for error in caught.value.errors] == [PluginCrashed, TryAgainLater]
    assert cached_keys(bench) == [("c1", "eth0")]
    bench.fake.answers.clear()
    await bench.network().delete(attachment())
    assert cached_keys(bench) == []


async def test_delete_works_with_a_broken_cache(bench: Bench) -> None:
    await bench.network().add(attachment())
    (Path(bench.cache.directory) / "net:c1:eth0.json").write_text("{")
    bench.fake.calls.clear()
    await bench.network().delete(attachment())
    assert bench.fake.told() == DELETED
    assert "prevResult" not in bench.fake.calls[0].request
    assert cached_keys(bench) == []


async def test_check_uses_the_result_of_add(bench: Bench) -> None:
    network = bench.network()
    with pytest.raises(NotAttached, match="it was not attached"):
        await network.check(attachment())
    await network.add(attachment(args=(("K", "v"),)))
    assert await network.check(attachment()) is True
    assert bench.fake.told()[2:] == [("one", "CHECK"), ("two", "CHECK")]
    assert bench.fake.calls[-1].env["CNI_ARGS"] == "K=v"
    assert bench.fake.calls[-1].request["prevResult"]["ips"] == [{"address": "10.1.0.2/24"}]


@pytest.mark.parametrize("more", [{"disableCheck": True}, {"cniVersion": "0.3.1"}])
async def test_check_is_not_asked_where_it_must_not_be(bench: Bench, more: dict[str, Any]) -> None:
    network = bench.network(conflist(**more))
    await network.add(attachment())
    assert await network.check(attachment()) is False
    assert bench.fake.told() == ADDED


async def test_check_tells_that_the_cache_is_broken(bench: Bench) -> None:
    await bench.network().add(attachment())
    (Path(bench.cache.directory) / "net:c1:eth0.json").write_text("{")
    with pytest.raises(NotAttached, match="not JSON"):
        await bench.network().check(attachment())


async def test_gc_deletes_what_is_remembered_and_not_valid(bench: Bench) -> None:
    network = bench.network(conflist(cniVersion="1.1.0"))
    for container_id in ("a", "b", "c"):
        await network.add(attachment(container_id=container_id))
    await bench.network(conflist("other")).add(attachment(container_id="x"))
    bench.fake.calls.clear()
    bench.fake.answers["one", "DEL"] = lambda call: failed(100, "stuck") if call.env["CNI_CONTAINERID"] == "c" else ok()
    with pytest.raises(CniError, match="stuck"):
        await network.gc({("a", "eth0")})
    assert [c for c in bench.fake.told() if c[1] == "GC"] == [("one", "GC"), ("two", "GC")]
    assert cached_keys(bench) == [("a", "eth0"), ("c", "eth0"), ("x", "eth0")]


async def test_status_and_versions_ask_the_plugins(bench: Bench) -> None:
    network = bench.network(conflist(cniVersion="1.1.0"))
    await network.status()
    assert bench.fake.told() == [("one", "STATUS"), ("two", "STATUS")]
    bench.fake.versions["one"] = ["1.0.0"]
    os.utime(bench.bin_dir / "one", ns=(0, 0))
    assert (await network.versions())["one"] == frozenset({"1.0.0"})


async def test_delete_all_takes_every_network_also_those_no_longer_configured(bench: Bench) -> None:
    await bench.network(conflist("first")).add(attachment())
    await bench.network(conflist("second")).add(attachment(ifname="eth1"))
    await bench.network(conflist("second")).add(attachment(container_id="other"))
    (Path(bench.cache.directory) / "second:c1:eth1.json").write_text("{")
    (Path(bench.cache.directory) / "third:c1:eth2.json").write_text("{")
    bench.fake.calls.clear()
    shared = {"plugins": bench.plugins, "cache": bench.cache, "gate": bench.gate}
    with pytest.raises(IOFailure, match='network "third" is not configured and its cache broken'):
        await delete_all("c1", "", networks=[conflist("second")], **shared)  # type: ignore[arg-type]
    assert [call.request["name"] for call in bench.fake.calls] == ["first", "first", "second", "second"]
    assert cached_keys(bench) == [("other", "eth0"), ("c1", "eth2")]


async def test_a_cancelled_add_undoes_itself_before_it_ends(bench: Bench) -> None:
    reached, stopped = asyncio.Event(), []

    async def hang(_: Call) -> Completed:
        reached.set()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            stopped.append("killed")
            raise
        return ok()

    bench.fake.answers["two", "ADD"] = hang
    task = asyncio.get_running_loop().create_task(bench.network().add(attachment()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped == ["killed"]
    assert bench.fake.told() == ADDED + DELETED
    assert cached_keys(bench) == []


async def test_a_cancelled_add_that_cannot_be_undone_says_so_in_a_note(bench: Bench) -> None:
    async def cancelled(_: Call) -> Completed:
        raise asyncio.CancelledError

    bench.fake.answers |= {("one", "ADD"): cancelled, ("one", "DEL"): failed(100, "stuck")}
    with pytest.raises(asyncio.CancelledError) as caught:
        await bench.network().add(attachment())
    assert caught.value.__notes__ == ['undoing the ADD failed: plugin "one" DEL: stuck (CNI code 100)']
    assert cached_keys(bench) == [("c1", "eth0")]


async def test_even_a_second_cancellation_does_not_cut_the_undo_short(bench: Bench) -> None:
    undoing, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Call) -> Completed:
        undoing.set()
        await go_on.wait()
        return failed(100, "stuck")

    bench.fake.answers |= {("one", "ADD"): failed(100, "no"), ("one", "DEL"): slow}
    task = asyncio.get_running_loop().create_task(bench.network().add(attachment()))
    await undoing.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cached_keys(bench) == [("c1", "eth0")]


async def test_a_container_is_worked_on_by_one_at_a_time(bench: Bench) -> None:
    running = 0

    async def alone(call: Call) -> Completed:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.01)
        running -= 1
        return ok({"cniVersion": "1.0.0"} if call.command == "ADD" else None)

    bench.fake.answers |= {(kind, command): alone for kind in ("one", "two") for command in ("ADD", "DEL")}
    network = bench.network()
    await asyncio.gather(*(work(attachment()) for work in (network.add, network.delete, network.delete)))
    assert bench.fake.told() == ADDED + DELETED * 2


async def test_gc_waits_for_an_add_and_holds_up_the_next(bench: Bench) -> None:
    network, order = bench.network(conflist(cniVersion="1.1.0")), []

    async def slow(call: Call) -> Completed:
        order.append((call.command, "begin"))
        await asyncio.sleep(0.01)
        order.append((call.command, "end"))
        return ok({"cniVersion": "1.1.0"})

    bench.fake.answers |= {("one", command): slow for command in ("ADD", "GC")}
    loop = asyncio.get_running_loop()
    first = loop.create_task(network.add(attachment()))
    while not order:  # the plugin says so
        await asyncio.sleep(0.001)
    collect = loop.create_task(network.gc({("c1", "eth0"), ("c2", "eth0")}))
    await asyncio.sleep(0)
    second = loop.create_task(network.add(attachment(container_id="c2")))
    await asyncio.gather(first, collect, second)
    commands = [command for command, _ in order]
    assert commands == ["ADD", "ADD", "GC", "GC", "ADD", "ADD"]
