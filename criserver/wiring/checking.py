"""What compares the state with the kernel."""

from __future__ import annotations

from criserver.config.schema import Config
from criserver.drivers.host.inventory import KernelInventory
from criserver.lifecycle.images.check import ImageCheck
from criserver.lifecycle.mending.check import Checker
from criserver.lifecycle.mending.gc import GarbageCollector
from criserver.lifecycle.operations import Operations
from criserver.lifecycle.powers import Powers
from criserver.state.containers import Containers
from criserver.state.journal import Journal
from criserver.state.sandboxes import Sandboxes


def checker(
    config: Config,
    sandboxes: Sandboxes,
    containers: Containers,
    journal: Journal,
    powers: Powers,
    images: ImageCheck,
    garbage: GarbageCollector,
    operations: Operations,
) -> Checker:
    """Build it."""
    inventory = KernelInventory(config.root, config.state, config.network.conf_dir)
    return Checker(sandboxes, containers, journal, powers, inventory, images, garbage, operations)
