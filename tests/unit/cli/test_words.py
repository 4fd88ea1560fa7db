import pytest

from criserver.cli.words import age, counted, size


@pytest.mark.parametrize(
    ("count", "text"),
    [(812, "812 B"), (1024, "1.0 KiB"), (1_500_000, "1.4 MiB"), (64 << 20, "64 MiB"), (5 << 50, "5120 TiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0s"), (42.9, "42s"), (185, "3m 5s"), (7800, "2h 10m"), (446400, "5d 4h")]
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_counts() -> None:
    assert [counted(count, "pod") for count in (0, 1, 2)] == ["0 pods", "1 pod", "2 pods"]
