"""Readings to the CRI's metric messages, by the tables of `metric_table`: whose it is, in labels, and what it says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from criserver.api.convert.metric_table import CGROUP, CONTAINER, NETWORK, Metric, S, Table
from criserver.api.pb import api_pb2 as pb
from criserver.config.schema import MetricGroup
from criserver.lifecycle.stats import ContainerSample, PodSample
from criserver.model.sandbox import PodMetadata

LABELS = ("id", "name", "image", "container", "pod", "namespace")
"""Whose a sample is: cgroup, id and image of the container, and Kubernetes' names. A pod has no container name."""

Groups = Collection[MetricGroup]


def descriptors(groups: Groups) -> list[pb.MetricDescriptor]:
    """Every metric of the groups."""
    return [*_descriptors(CGROUP, groups), *_descriptors(CONTAINER, groups), *_descriptors(NETWORK, groups)]


def pod_metrics(sample: PodSample, groups: Groups) -> pb.PodSandboxMetrics:
    """All metrics of a pod and of its containers."""
    row, meta = sample.row, sample.row.config.metadata
    labels = (row.cgroup_parent, row.id, "", "", meta.name, meta.namespace)
    metrics: list[pb.Metric] = []
    if sample.usage:
        metrics += _samples(CGROUP, groups, sample.usage, sample.usage.taken_at, labels)
    if sample.network:
        for interface in sample.network.interfaces:
            metrics += _samples(NETWORK, groups, interface, sample.network.taken_at, labels)
    return pb.PodSandboxMetrics(
        pod_sandbox_id=row.id,
        metrics=metrics,
        container_metrics=[_container_metrics(each, groups, meta) for each in sample.containers],
    )


def _descriptors(table: Table[S], groups: Groups) -> Iterator[pb.MetricDescriptor]:
    for metric in _chosen(table, groups):
        yield pb.MetricDescriptor(name=metric.name, help=metric.help, label_keys=(*LABELS, *metric.labels))


def _container_metrics(sample: ContainerSample, groups: Groups, pod: PodMetadata) -> pb.ContainerMetrics:
    row = sample.row
    image = row.config.image.user_specified_image or row.config.image.image
    labels = (row.cgroups_path, row.id, image, row.config.metadata.name, pod.name, pod.namespace)
    taken_at = sample.usage.taken_at if sample.usage else 0
    metrics = list(_samples(CONTAINER, groups, sample, taken_at, labels))
    if sample.usage:
        metrics += _samples(CGROUP, groups, sample.usage, taken_at, labels)
    return pb.ContainerMetrics(container_id=row.id, metrics=metrics)


def _samples(
    table: Table[S], groups: Groups, reading: S, taken_at: int, labels: tuple[str, ...]
) -> Iterator[pb.Metric]:
    for metric in _chosen(table, groups):
        for value, more in metric.values(reading):
            if value is not None:
                yield pb.Metric(
                    name=metric.name,
                    timestamp=taken_at,
                    metric_type=pb.MetricType.GAUGE if metric.gauge else pb.MetricType.COUNTER,
                    label_values=(*labels, *more),
                    value=pb.UInt64Value(value=value),
                )


def _chosen(table: Table[S], groups: Groups) -> Iterable[Metric[S]]:
    return [metric for group, metrics in table.items() if group in groups for metric in metrics]
