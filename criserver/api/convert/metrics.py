"""Readings to the CRI's metric messages, by the tables of `metric_table`: whose it is, in labels, and what it says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from criserver.api.convert import metric_wire as wire
from criserver.api.convert.metric_table import CGROUP, CONTAINER, NETWORK, Metric, S, Table
from criserver.api.pb import api_pb2 as pb
from criserver.config.schema import MetricGroup
from criserver.lifecycle.reports.stats import ContainerSample, PodSample
from criserver.model.cgroup_names import directory
from criserver.model.sandbox import PodMetadata

LABELS = ("id", "name", "image", "container", "pod", "namespace")
"""Whose a sample is: path of the cgroup, id and image of the container, names in Kubernetes. A pod has no container."""

Groups = Collection[MetricGroup]


def descriptors(groups: Groups) -> list[pb.MetricDescriptor]:
    """Every metric of the groups."""
    return [*_descriptors(CGROUP, groups), *_descriptors(CONTAINER, groups), *_descriptors(NETWORK, groups)]


def pod_metrics(sample: PodSample, groups: Groups) -> pb.PodSandboxMetrics:
    """All metrics of a pod and of its containers."""
    row, meta = sample.row, sample.row.config.metadata
    whose = wire.labels((directory(row.cgroup_parent), row.id, "", "", meta.name, meta.namespace))
    metrics: list[bytes] = []
    if sample.usage:
        metrics += _samples(CGROUP, groups, sample.usage, sample.usage.taken_at, whose)
    if sample.network:
        for interface in sample.network.interfaces:
            metrics += _samples(NETWORK, groups, interface, sample.network.taken_at, whose)
    return wire.pod(row.id, metrics, [_container_metrics(each, groups, meta) for each in sample.containers])


def _descriptors(table: Table[S], groups: Groups) -> Iterator[pb.MetricDescriptor]:
    for metric in _chosen(table, groups):
        yield pb.MetricDescriptor(name=metric.name, help=metric.help, label_keys=(*LABELS, *metric.labels))


def _container_metrics(sample: ContainerSample, groups: Groups, pod: PodMetadata) -> bytes:
    row = sample.row
    image = row.config.image.user_specified_image or row.config.image.image
    whose = wire.labels((directory(row.cgroups_path), row.id, image, row.config.metadata.name, pod.name, pod.namespace))
    taken_at = sample.usage.taken_at if sample.usage else 0
    metrics = list(_samples(CONTAINER, groups, sample, taken_at, whose))
    if sample.usage:
        metrics += _samples(CGROUP, groups, sample.usage, taken_at, whose)
    return wire.container(row.id, metrics)


def _samples(table: Table[S], groups: Groups, reading: S, taken_at: int, whose: bytes) -> Iterator[bytes]:
    common = wire.timestamp(taken_at) + whose
    for metric in _chosen(table, groups):
        head = _heads[metric.name]
        for value, more in metric.values(reading):
            if value is not None:
                yield head + common + (wire.labels(more) if more else b"") + wire.value(value)


def _chosen(table: Table[S], groups: Groups) -> Iterable[Metric[S]]:
    return [metric for group, metrics in table.items() if group in groups for metric in metrics]


def _encoded(table: Table[S]) -> dict[str, bytes]:
    """What all samples of a metric begin with, by its name."""
    return {each.name: wire.metric(each.name, gauge=each.gauge) for each in _chosen(table, tuple(MetricGroup))}


_heads = _encoded(CGROUP) | _encoded(CONTAINER) | _encoded(NETWORK)
