"""The powers that pods and containers are made with, as one value that `app` builds and lifecycles share."""

from __future__ import annotations

from dataclasses import dataclass

from criserver.ports.bundles import Bundles
from criserver.ports.cgroups import Cgroups
from criserver.ports.clock import Clock
from criserver.ports.host import Host
from criserver.ports.image_volumes import ImageVolumes
from criserver.ports.images import Images
from criserver.ports.injections import Injections
from criserver.ports.monitor import Monitors
from criserver.ports.namespaces import Namespaces
from criserver.ports.network import Network
from criserver.ports.pod_files import PodFiles
from criserver.ports.rootfs import Rootfs
from criserver.ports.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Powers:
    """One driver for each port."""

    runtime: Runtime
    monitors: Monitors
    namespaces: Namespaces
    cgroups: Cgroups
    rootfs: Rootfs
    image_volumes: ImageVolumes
    network: Network
    pod_files: PodFiles
    bundles: Bundles
    host: Host
    images: Images
    clock: Clock
    injections: Injections
