import asyncio

import pytest

from criserver.observe import timings
from criserver.observe.timings import Asked, Stage, Stages, asked, asking, braced


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_stages_have_start_and_duration() -> None:
    clock = Clock()
    stages = Stages("RunPodSandbox", clock)
    with stages.stage("namespaces"):
        clock.now += 0.5
    with stages.stage("network"):
        clock.now += 0.25
        assert stages.stages[1] == Stage("network", 0.5)
    assert stages.stages == (Stage("namespaces", 0.0, 0.5), Stage("network", 0.5, 0.25))
    assert stages.elapsed == 0.75


def test_a_stage_that_fails_is_kept() -> None:
    stages = Stages("x", Clock())
    with pytest.raises(ValueError, match="no"), stages.stage("network"):
        raise ValueError("no")
    assert stages.stages == (Stage("network", 0.0, 0.0, failed=True),)


def test_fields_are_milliseconds_and_equal_names_add_up() -> None:
    clock = Clock()
    stages = Stages("x", clock)
    assert stages.fields() == {"took": "0.0ms"}
    for _ in range(2):
        with stages.stage("layer"):
            clock.now += 0.0625
    with stages.stage("commit"):
        clock.now += 0.5
        assert stages.fields() == {"took": "625.0ms", "stages": "layer:125.0ms,commit:500.0ms"}


def test_what_is_asked_goes_to_the_stage_that_runs() -> None:
    clock = Clock()
    stages = Stages("x", clock)
    asked("mount", "nobody listens")
    with stages.stage("rootfs"):
        clock.now += 0.5
        asked("mount", "mount -t overlay", "options")
        with asking("cni", "bridge", "config") as answer:
            clock.now += 0.25
            answer.text = "result"
    asked("mount", "nobody listens any more")
    (stage,) = stages.stages
    assert stage.asked == (
        Asked("mount", "mount -t overlay", 0.5, text="options"),
        Asked("cni", "bridge", 0.5, 0.25, "config", "result"),
    )


def test_what_is_asked_and_fails_or_waits_is_told() -> None:
    clock = Clock()
    stages = Stages("x", clock)

    def fail() -> None:
        assert stages.stages[0].asked == (Asked("cni", "bridge"),)
        assert stages.running == "a"
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), stages.stage("a"), asking("cni", "bridge"):
        fail()
    assert stages.stages[0].asked == (Asked("cni", "bridge", took=0.0, failed=True),)
    assert stages.running == ""


async def test_tasks_that_overlap_each_have_their_stage() -> None:
    stages = Stages("x")

    async def one(name: str) -> None:
        with stages.stage(name):
            await asyncio.sleep(0)
            asked("file", name)

    await asyncio.gather(one("a"), one("b"))
    assert [[each.what for each in stage.asked] for stage in stages.stages] == [["a"], ["b"]]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timings, "MAX_ASKED", 2)
    monkeypatch.setattr(timings, "MAX_TEXT", 3)
    stages = Stages("x")
    with stages.stage("a"):
        for _ in range(3):
            with asking("file", "write", "abcdef") as answer:
                answer.text = "ghijk"
    (stage,) = stages.stages
    assert [(each.text, each.answer) for each in stage.asked] == [("abc", "ghi")] * 2
    assert stage.more == 1


@pytest.mark.parametrize(
    ("paths", "word"),
    [
        ([], ""),
        (["/a/b"], "/a/b"),
        (["/c/cpu/pod", "/c/memory/pod"], "/c/{cpu,memory}/pod"),
        (["/c/cpu/pod", "/c/memory/more/pod"], "/c/cpu/pod /c/memory/more/pod"),
        (["/c/cpu/one", "/c/memory/two"], "/c/cpu/one /c/memory/two"),
    ],
)
def test_paths_that_differ_in_one_part_are_one_word(paths: list[str], word: str) -> None:
    assert braced(paths) == word
