import pytest

from criserver.observe.timings import Stage, Stages


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
