import pytest

from criserver.api.convert import pieces as module
from criserver.api.convert.pieces import pieces, whole
from criserver.api.pb import api_pb2 as pb


def items(*sizes: int) -> list[pb.Container]:
    return [pb.Container(id="x" * size) for size in sizes]


def lengths(found: list[list[pb.Container]]) -> list[list[int]]:
    return [[len(item.id) for item in piece] for piece in found]


def test_pieces_are_bounded_ordered_and_never_empty() -> None:
    assert list(pieces([])) == []
    assert lengths(list(pieces(items(40, 40, 40), 100))) == [[40, 40], [40]]
    assert lengths(list(pieces(items(10, 500, 10), 100))) == [[10], [500], [10]]


def test_a_thousand_heavy_items_stay_below_the_limit() -> None:
    for piece in pieces(items(*[200_000] * 100)):
        assert pb.StreamContainersResponse(containers=piece).ByteSize() < module.MESSAGE_LIMIT // 4


def test_an_answer_of_half_the_limit_is_warned_of_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_said", {})
    small = pb.ListContainersResponse(containers=items(1000))
    large = pb.ListContainersResponse(containers=items(module.MESSAGE_LIMIT // 2))
    assert whole(small, "StreamContainers") is small
    assert caplog.text == ""
    assert whole(large, "StreamContainers") is large
    whole(large, "StreamContainers")
    assert caplog.text.count("ask with StreamContainers") == 1
