from criserver.cli.trace.pod import beside, documents, duration, group, pods, with_spec
from tests.unit.cli.trace.kit import ID, RUNS, WHOLE


def test_figures() -> None:
    (pod,) = pods(WHOLE)
    assert (pod.name, pod.sandbox_id, pod.asked) == ("shop/<b>web</b>", ID, 7)
    assert round(pod.busy, 3) == 0.15


def test_what_runs_has_lasted_until_now() -> None:
    (pod,) = pods(RUNS)
    (operation,) = pod.operations
    assert pod.took(operation) == 5.0
    assert [round(pod.lasted(operation, stage), 2) for stage in operation.stages] == [0.01, 4.99]


def test_stages_at_a_time() -> None:
    run = pods(WHOLE)[0].operations[0]
    namespaces, files, network = run.stages
    assert (beside(run, namespaces), beside(run, files), beside(run, network)) == ([], ["network"], ["files"])


def test_what_a_stage_has_to_do_with() -> None:
    run, create = pods(WHOLE)[0].operations
    assert [group(stage) for stage in run.stages] == ["namespaces", "mounts and files", "network"]
    assert group(create.stages[1]) == "processes and the runtime"
    assert group(pods(RUNS)[0].operations[0].stages[0]) == "mounts and files"


def test_the_runtime_shows_the_spec_that_was_written_for_it() -> None:
    run, create = pods(WHOLE)[0].operations
    (asked,) = with_spec(create, create.stages[1])
    assert [title for title, _ in documents(asked)] == ["its config.json"]
    assert with_spec(run, run.stages[2]) == run.stages[2].asked
    assert [title for title, _ in documents(run.stages[2].asked[0])] == [
        "its configuration, on standard input", "its result",
    ]  # fmt: skip


def test_durations() -> None:
    assert [duration(each) for each in (0.00042, 0.0612, 2.3)] == ["0.4 ms", "61 ms", "2.30 s"]
