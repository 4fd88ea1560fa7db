from __future__ import annotations

import itertools

import pytest

from criserver.streaming.wire.machine import LocalProtocolError, RemoteProtocolError
from criserver.streaming.wire.spdy_frames import MAX_STREAM_ID
from criserver.streaming.wire.spdy_streams import TRANSITIONS, Half, Step, Streams, opened_by_peer, opened_here


def test_table_lets_nothing_follow_an_end() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] is Half.CLOSED]
    for half, step in itertools.product(Half, Step):
        if half is Half.WAITING:
            assert ((half, step) in TRANSITIONS) == (step in (Step.REPLY, Step.REPLY_FIN))


@pytest.mark.parametrize("fin", [False, True])
def test_first_states(fin: bool) -> None:
    here, peer = opened_here(fin=fin), opened_by_peer(fin=fin)
    assert (here.sending, here.receiving) == (peer.receiving, peer.sending)
    assert here.receiving is Half.WAITING
    assert not here.done
    here.sending = here.receiving = Half.CLOSED
    assert here.done


def test_ids_of_this_side_rise_by_two_until_they_end() -> None:
    streams = Streams(parity=0, first=2)
    assert [streams.open_here(fin=False), streams.open_here(fin=True)] == [2, 4]
    assert not streams.never_opened(4)
    assert streams.never_opened(6)
    spent = Streams(parity=1, first=MAX_STREAM_ID)
    assert spent.open_here(fin=False) == MAX_STREAM_ID
    with pytest.raises(LocalProtocolError, match="used up"):
        spent.open_here(fin=False)


@pytest.mark.parametrize("stream_id", [1, 3, 4])
def test_ids_of_the_peer_must_rise_with_its_parity(stream_id: int) -> None:
    streams = Streams(parity=0, first=2)
    streams.seen(3)
    with pytest.raises(RemoteProtocolError, match=f"stream {stream_id} opened by the peer after 3"):
        streams.seen(stream_id)


def test_count_of_the_peers_streams() -> None:
    streams = Streams(parity=0, first=2)
    streams.open_here(fin=False)
    for stream_id in (1, 5):
        streams.seen(stream_id)
        streams.add_of_peer(stream_id, fin=False)
    assert (streams.peer_open, streams.last_of_peer, sorted(streams)) == (2, 5, [1, 2, 5])
    streams.forget(1)
    streams.forget(2)
    assert (streams.peer_open, list(streams)) == (1, [5])
    assert streams.get(1) is None
