from criserver.cli.trace import words
from criserver.observe.trace import Trace
from tests.support.world import House
from tests.unit.lifecycle.reports.test_traces import written


async def test_there_are_words_for_every_stage_that_there_is(house: House) -> None:
    await house.running()
    await written(house)
    traces: tuple[Trace, ...] = await house.traces.of("default/web")
    assert [trace.operation for trace in traces if not words.operation(trace.operation)] == []
    assert [stage.name for trace in traces for stage in trace.stages if not words.stage(stage.name)] == []
    assert len(traces) == 3
