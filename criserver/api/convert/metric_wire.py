"""Metrics as bytes, in protobuf's encoding (protobuf.dev, "Encoding"): one answer has thousands of them.

Made as messages, each is looked up field by field and copied twice on its way into the answer. Here what repeats is
encoded once: a metric's name and type, and the labels that say whose a sample is. The parser of protobuf makes the
messages, all at once. Knows the fields of the CRI's Metric, ContainerMetrics and PodSandboxMetrics; no readings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor

from criserver.api.pb import api_pb2 as pb

_VARINT, _BYTES = 0, 2
_SMALL = [bytes([number]) for number in range(0x80)]


def metric(name: str, *, gauge: bool) -> bytes:
    """The part of a Metric that all samples share: name and type."""
    kind = pb.MetricType.GAUGE if gauge else pb.MetricType.COUNTER
    return _block(_NAME, name.encode()) + _TYPE + _varint(kind)


def labels(values: Iterable[str]) -> bytes:
    """Label values, in the order of their keys; more may follow."""
    return b"".join([_block(_LABEL, value.encode()) for value in values])


def timestamp(nanoseconds: int) -> bytes:
    """When a sample was taken."""
    return _TIMESTAMP + _varint(nanoseconds)


def value(number: int) -> bytes:
    """What it says."""
    return _block(_VALUE, _NUMBER + _varint(number))


def pod(sandbox_id: str, metrics: Iterable[bytes], containers: Iterable[bytes]) -> pb.PodSandboxMetrics:
    """All of a pod; `containers` are of `container`."""
    blocks = [_block(_POD_METRIC, each) for each in metrics] + [_block(_CONTAINER, each) for each in containers]
    return pb.PodSandboxMetrics.FromString(_block(_POD_ID, sandbox_id.encode()) + b"".join(blocks))


def container(container_id: str, metrics: Iterable[bytes]) -> bytes:
    """All of a container."""
    return _block(_CONTAINER_ID, container_id.encode()) + b"".join([_block(_METRIC, each) for each in metrics])


def _block(tag: bytes, data: bytes) -> bytes:
    """A field of text or of a message."""
    return tag + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the eighth bit set."""
    if number < 0x80:
        return _SMALL[number]
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _tags(message: Descriptor, wire_type: int, *fields: str) -> Iterator[bytes]:
    """What each of the fields begins with."""
    return (_varint(message.fields_by_name[field].number << 3 | wire_type) for field in fields)


_NAME, _LABEL, _VALUE = _tags(pb.Metric.DESCRIPTOR, _BYTES, "name", "label_values", "value")
_TIMESTAMP, _TYPE = _tags(pb.Metric.DESCRIPTOR, _VARINT, "timestamp", "metric_type")
(_NUMBER,) = _tags(pb.UInt64Value.DESCRIPTOR, _VARINT, "value")
_CONTAINER_ID, _METRIC = _tags(pb.ContainerMetrics.DESCRIPTOR, _BYTES, "container_id", "metrics")
_POD_ID, _POD_METRIC, _CONTAINER = _tags(
    pb.PodSandboxMetrics.DESCRIPTOR, _BYTES, "pod_sandbox_id", "metrics", "container_metrics"
)
