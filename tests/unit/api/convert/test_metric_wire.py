from hypothesis import given
from hypothesis import strategies as st

from criserver.api.convert import metric_wire as wire
from criserver.api.pb import api_pb2 as pb

NUMBERS = st.integers(0, (1 << 64) - 1)
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), max_size=8)


@given(st.text("abc_", max_size=40), st.booleans(), st.integers(0, (1 << 63) - 1), TEXTS, NUMBERS)
def test_the_bytes_are_those_of_the_message(
    name: str, gauge: bool, taken_at: int, labels: list[str], value: int
) -> None:
    encoded = wire.metric(name, gauge=gauge) + wire.timestamp(taken_at) + wire.labels(labels) + wire.value(value)
    message = pb.Metric(
        name=name,
        timestamp=taken_at,
        metric_type=pb.MetricType.GAUGE if gauge else pb.MetricType.COUNTER,
        label_values=labels,
        value=pb.UInt64Value(value=value),
    )
    assert pb.Metric.FromString(encoded) == message
    assert wire.pod("p", [encoded] * 2, [wire.container("c", [encoded])]) == pb.PodSandboxMetrics(
        pod_sandbox_id="p",
        metrics=[message] * 2,
        container_metrics=[pb.ContainerMetrics(container_id="c", metrics=[message])],
    )


def test_nothing_is_a_message_too() -> None:
    assert wire.pod("", [], []) == pb.PodSandboxMetrics()
    assert wire.pod("p", [], [wire.container("c", [])]) == pb.PodSandboxMetrics(
        pod_sandbox_id="p", container_metrics=[pb.ContainerMetrics(container_id="c")]
    )
