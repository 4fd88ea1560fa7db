"""The one place where ports meet drivers and lifecycles meet their rows: everything is built here, and passed on."""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import grpc

from criserver.api.admin import admin
from criserver.api.admin_check import CheckAdmin
from criserver.api.admin_images import ImageAdmin
from criserver.api.admin_node import NodeAdmin
from criserver.api.admin_traces import TraceAdmin
from criserver.api.containers import ContainerHandlers
from criserver.api.events import EventHandlers
from criserver.api.health import HealthHandlers, health
from criserver.api.images import ImageHandlers
from criserver.api.metrics import MetricHandlers
from criserver.api.node import NodeHandlers
from criserver.api.pb import api_pb2 as pb
from criserver.api.pods import PodHandlers
from criserver.api.resources import ResourceHandlers
from criserver.api.service import service
from criserver.api.stats import StatsHandlers
from criserver.api.streaming import StreamHandlers
from criserver.config.live import Changes, Live
from criserver.config.schema import Config
from criserver.drivers.cgroups.cgroupfs import CgroupfsDriver
from criserver.drivers.cgroups.systemd import open_cgroups
from criserver.drivers.host import apparmor
from criserver.drivers.host.facts import Facts
from criserver.drivers.monitors.monitor import ConmonMonitors
from criserver.drivers.monitors.streams import ContainerStreams
from criserver.drivers.stats.kernel_stats import KernelStats
from criserver.kernel import cgroupfs
from criserver.lifecycle.images.check import ImageCheck
from criserver.lifecycle.images.images import ImageService
from criserver.lifecycle.locks import Locks
from criserver.lifecycle.mending.gc import GarbageCollector
from criserver.lifecycle.mending.recovery import Recovery
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.reports.deliveries import Deliveries
from criserver.lifecycle.reports.events import Events
from criserver.lifecycle.reports.stats import StatsService
from criserver.lifecycle.running.building import Builder
from criserver.lifecycle.running.container_steps import container_undoers
from criserver.lifecycle.running.containers import ContainerLifecycle
from criserver.lifecycle.running.exec import ExecService
from criserver.lifecycle.running.exits import Exits
from criserver.lifecycle.running.pod_steps import pod_undoers
from criserver.lifecycle.running.pods import PodLifecycle
from criserver.lifecycle.running.streams import StreamService
from criserver.lifecycle.running.updates import ResourceUpdates
from criserver.lifecycle.tasks import Tasks
from criserver.observe import log as logs
from criserver.state.containers import Containers
from criserver.state.db import Database
from criserver.state.journal import Journal
from criserver.state.sandboxes import Sandboxes
from criserver.streaming.server import StreamingServer
from criserver.streaming.tls import Certificate
from criserver.wiring.checking import checker
from criserver.wiring.images import image_half, pulls_cgroup, writable_mountpoint
from criserver.wiring.observing import Observing
from criserver.wiring.policies import Policies
from criserver.wiring.powers import build_powers, own_cgroup, removed, running_monitors

log = logging.getLogger(__name__)
RUNTIME = pb.DESCRIPTOR.services_by_name["RuntimeService"]
IMAGES = pb.DESCRIPTOR.services_by_name["ImageService"]


@dataclass(frozen=True, slots=True)
class Server:
    """What `app` needs of a built server."""

    database: Database
    tasks: Tasks
    images: ImageService
    recovery: Recovery
    garbage: GarbageCollector
    streaming: StreamingServer
    observing: Observing
    hang_up: tuple[Callable[[], None], ...]
    leave: Callable[[], Awaitable[None]]
    reload: Callable[[], Changes]
    image_check: ImageCheck
    services: tuple[grpc.GenericRpcHandler, ...]


async def build(live: Live, tasks: Tasks) -> Server:
    """Build everything; CriError says what this host lacks."""
    config, mountpoint, policies = live.current, writable_mountpoint(live.current), Policies(live.current.runtime)
    database = Database(os.path.join(config.root, "criserver.db"))
    sandboxes, containers, journal = Sandboxes(database), Containers(database), Journal(database)
    operations, locks = Operations(tasks), Locks()
    observing = Observing(config, database, tasks)
    metrics, traces = observing.metrics, observing.traces
    cgroups = open_cgroups(config.runtime.cgroup_driver)
    images, image_check = await image_half(live, database, operations, metrics, cgroups)
    monitors = await running_monitors(config, cgroups)
    powers = await build_powers(live, cgroups, monitors, images, metrics)
    deliveries, exits = Deliveries(sandboxes, containers, tasks), Exits(containers, powers, tasks, locks, metrics)
    await apparmor.load_default()
    facts, node_name = Facts(), platform.node()
    builder = Builder(powers, containers, facts, policies.of, node_name=node_name)
    lives = ContainerLifecycle(
        sandboxes, containers, journal, powers, builder, exits, operations, locks, deliveries, traces
    )
    pods = PodLifecycle(
        sandboxes, journal, powers, lives, operations, deliveries, traces,
        node_name=node_name, default_sysctls=policies.sysctls,
    )  # fmt: skip
    readings = KernelStats(cgroupfs.hierarchies(), facts().hugepage_sizes)
    updates = ResourceUpdates(sandboxes, containers, powers, readings, operations, locks, facts, policies.of)
    stats = StatsService(sandboxes, containers, powers, readings, tasks, period=config.stats.collection_period)
    streams = StreamService(sandboxes, containers, powers, ContainerStreams(config.state, monitors.places))
    streaming = _streaming(config, streams, tasks)
    undoers = {**pod_undoers(powers), **container_undoers(powers)}
    events = Events(sandboxes, containers, powers.clock, metrics)
    healthy, reload = HealthHandlers((RUNTIME.full_name, IMAGES.full_name)), partial(_reload, live, policies)
    garbage = GarbageCollector(sandboxes, containers, journal, powers, undoers)
    check = checker(config, sandboxes, containers, journal, powers, image_check, garbage, operations)
    observing.count(sandboxes, containers, events, check, images, monitors)
    handlers = (
        ImageHandlers(images, partial(stats.written, mountpoint)),
        PodHandlers(pods, sandboxes, powers.namespaces),
        ContainerHandlers(lives, ExecService(containers, powers), containers, powers.bundles),
        StreamHandlers(streaming),
        ResourceHandlers(updates),
        NodeHandlers(powers.runtime, powers.network, powers.cgroups, lambda: dataclasses.asdict(live.current)),
        StatsHandlers(stats, mountpoint),
        EventHandlers(events),
        MetricHandlers(stats, config.stats.metric_groups),
    )
    operators = (ImageAdmin(images), CheckAdmin(check), NodeAdmin(reload), TraceAdmin(traces, sandboxes))
    return Server(
        database=database,
        tasks=tasks,
        images=images,
        recovery=Recovery(sandboxes, containers, journal, powers, pods, lives, exits, tasks, undoers),
        streaming=streaming,
        hang_up=(events.close, healthy.stop),
        leave=partial(_leave, config.state, sandboxes, containers, monitors, cgroups),
        observing=observing,
        garbage=garbage,
        reload=reload,
        image_check=image_check,
        services=(*(service(each, *handlers) for each in (RUNTIME, IMAGES)), admin(*operators), health(healthy)),
    )


async def _leave(
    state: str, sandboxes: Sandboxes, containers: Containers, monitors: ConmonMonitors, cgroups: CgroupfsDriver
) -> None:
    """What a clean stop takes away: what pulls run in; on a node without pods the zygote, and the cgroup of it."""
    pulls = pulls_cgroup(state, cgroups)
    await cgroups.kill(pulls)
    await removed(cgroups, pulls)
    if not len(sandboxes) and not len(containers):
        await monitors.retire()
        await removed(cgroups, own_cgroup(state, cgroups))


def _reload(live: Live, policies: Policies) -> Changes:
    """Take up the files anew, and tell the log."""
    changes = live.reload(lambda config: policies.take_up(config.runtime))
    logs.set_level(live.current.log_level)
    for line in changes.lines():
        log.info("configuration: %s", line)
    return changes


def _streaming(config: Config, streams: StreamService, tasks: Tasks) -> StreamingServer:
    section = config.streaming
    certificate = Certificate(section.tls_cert, section.tls_key) if section.tls_cert else None
    return StreamingServer(streams, tasks, address=section.address, port=section.port, certificate=certificate)
