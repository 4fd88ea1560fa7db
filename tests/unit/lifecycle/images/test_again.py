"""What may pass is tried again, what will not is not."""

from __future__ import annotations

import pytest

from criserver.errors import Busy, CriError, DataLoss, Unavailable
from criserver.lifecycle.images.again import Again


class Work:
    """Fails with these, and then is done."""

    def __init__(self, *failures: CriError) -> None:
        self.failures, self.tries, self.retries = list(failures), 0, 0
        self.again = Again(self.retried, (0, 0))

    def retried(self) -> None:
        self.retries += 1

    async def __call__(self) -> str:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_until_it_is_done(count: int) -> None:
    work = Work(*[Unavailable(f"EOF {number}") for number in range(count)])
    assert await work.again(work, "it") == "done"
    assert (work.tries, work.retries) == (count + 1, count)


async def test_the_last_failure_is_told() -> None:
    work = Work(*[Unavailable(f"EOF {number}") for number in range(9)])
    with pytest.raises(Unavailable, match="EOF 2"):
        await work.again(work, "it")
    assert (work.tries, work.retries) == (3, 2)


@pytest.mark.parametrize("failure", [Busy("in an hour"), DataLoss("wrong digest")])
async def test_not_what_a_pause_does_not_mend(failure: CriError) -> None:
    work = Work(failure)
    with pytest.raises(type(failure)):
        await work.again(work, "it")
    assert (work.tries, work.retries) == (1, 0)
