"""The one place where ports meet drivers and lifecycles meet their rows: everything is built here, and passed on."""

from __future__ import annotations

import dataclasses
import os
import platform
from dataclasses import dataclass
from typing import Any

import grpc

from criserver.api.containers import ContainerHandlers
from criserver.api.images import ImageHandlers
from criserver.api.node import NodeHandlers
from criserver.api.pb import api_pb2 as pb
from criserver.api.pods import PodHandlers
from criserver.api.service import service
from criserver.config.schema import Config
from criserver.drivers.bundles import BundlesDriver
from criserver.drivers.cgroups import open_cgroups
from criserver.drivers.clock import SystemClock
from criserver.drivers.facts import Facts
from criserver.drivers.host import HostDriver
from criserver.drivers.monitor import open_monitors
from criserver.drivers.namespaces import PinnedNamespaces
from criserver.drivers.network import CniNetwork
from criserver.drivers.overlay import OverlayRootfs
from criserver.drivers.pod_files import PodFilesDriver
from criserver.drivers.runc import HandlerConfig, open_runtime
from criserver.lifecycle.building import Builder
from criserver.lifecycle.container_steps import container_undoers
from criserver.lifecycle.containers import ContainerLifecycle
from criserver.lifecycle.deliveries import Deliveries
from criserver.lifecycle.exec import ExecService
from criserver.lifecycle.exits import Exits
from criserver.lifecycle.gc import GarbageCollector
from criserver.lifecycle.images import ImageService
from criserver.lifecycle.locks import Locks
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.pod_steps import pod_undoers
from criserver.lifecycle.pods import PodLifecycle
from criserver.lifecycle.powers import Powers
from criserver.lifecycle.recovery import Recovery
from criserver.lifecycle.tasks import Tasks
from criserver.state.containers import Containers
from criserver.state.db import Database
from criserver.state.journal import Journal
from criserver.state.sandboxes import Sandboxes


@dataclass(frozen=True, slots=True)
class Server:
    """What `app` needs of a built server."""

    database: Database
    operations: Operations
    recovery: Recovery
    garbage: GarbageCollector
    services: tuple[grpc.GenericRpcHandler[Any, Any], ...]


async def build(config: Config, tasks: Tasks) -> Server:
    """Build everything; CriError says what this host lacks."""
    database = Database(os.path.join(config.root, "criserver.db"))
    sandboxes, containers, journal = Sandboxes(database), Containers(database), Journal(database)
    images = await build_images(config, database, tasks)
    powers = await _powers(config, images)
    node_name = platform.node()
    operations, locks = Operations(tasks), Locks()
    deliveries = Deliveries(sandboxes, containers, tasks)
    exits = Exits(containers, powers, tasks, locks)
    builder = Builder(powers, containers, Facts(), node_name=node_name)
    lives = ContainerLifecycle(
        sandboxes, containers, journal, powers, builder, exits, operations, locks, deliveries
    )
    pods = PodLifecycle(sandboxes, journal, powers, lives, operations, deliveries, node_name=node_name)
    undoers = {**pod_undoers(powers), **container_undoers(powers)}
    runtime_service = pb.DESCRIPTOR.services_by_name["RuntimeService"]
    image_service = pb.DESCRIPTOR.services_by_name["ImageService"]
    return Server(
        database=database,
        operations=operations,
        recovery=Recovery(sandboxes, containers, journal, powers, pods, lives, exits, tasks, undoers),
        garbage=GarbageCollector(sandboxes, containers, journal, powers, undoers),
        services=(
            service(
                runtime_service,
                PodHandlers(pods, sandboxes),
                ContainerHandlers(lives, ExecService(containers, powers), containers, powers.bundles),
                NodeHandlers(powers.runtime, powers.network, powers.cgroups, dataclasses.asdict(config)),
            ),
            service(image_service, ImageHandlers(images)),
        ),
    )
