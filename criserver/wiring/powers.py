"""The drivers behind the ports that lifecycles act through."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Sequence

from criserver.config.live import Live
from criserver.config.schema import Config
from criserver.drivers.cgroups.cgroupfs import CgroupfsDriver
from criserver.drivers.host.clock import SystemClock
from criserver.drivers.host.paths import HostDriver
from criserver.drivers.injections.injections import InjectionFiles
from criserver.drivers.monitors.monitor import ConmonMonitors
from criserver.drivers.network.default import CONFLIST
from criserver.drivers.network.pod_network import CniNetwork
from criserver.drivers.roots import idmap_probe
from criserver.drivers.roots.image_volumes import ImageVolumesDriver
from criserver.drivers.roots.namespaces import PinnedNamespaces
from criserver.drivers.roots.overlay import OverlayRootfs
from criserver.drivers.roots.pod_files import PodFilesDriver
from criserver.drivers.runtime.bundles import BundlesDriver
from criserver.drivers.runtime.runc import HandlerConfig, open_runtime
from criserver.errors import FailedPrecondition
from criserver.kernel import cgroupfs
from criserver.lifecycle.images.images import ImageService
from criserver.lifecycle.powers import Powers
from criserver.model import cgroup_names
from criserver.observe.metrics import Metrics

log = logging.getLogger(__name__)


async def running_monitors(config: Config, cgroups: CgroupfsDriver) -> ConmonMonitors:
    """The monitors' zygote, running in a cgroup of its own."""
    own, hierarchies = own_cgroup(config.state, cgroups), cgroupfs.hierarchies()

    @contextlib.asynccontextmanager
    async def home() -> AsyncIterator[Sequence[str]]:
        await cgroups.ensure(own)
        try:
            yield cgroupfs.procs_files(hierarchies, cgroup_names.directory(own))
        finally:
            await cgroups.inhabited(own)

    monitors = ConmonMonitors(config.state, hierarchies, home=home)
    await monitors.start()
    return monitors


async def build_powers(
    live: Live, cgroups: CgroupfsDriver, monitors: ConmonMonitors, images: ImageService, metrics: Metrics
) -> Powers:
    """One driver per port; CriError says what this host lacks."""
    config = live.current
    lacks_idmap = await idmap_probe.lacks(config.store, config.state, monitors.zygote)
    if lacks_idmap:
        log.info("no pod can have a user namespace of its own here: %s", lacks_idmap)
    handlers = {
        name: HandlerConfig(each.type, each.path or name, each.root) for name, each in config.runtime.handlers.items()
    }
    runtime = await open_runtime(
        handlers,
        default=config.runtime.default_handler,
        state=config.state,
        cgroup_driver=cgroups.driver,
        lacks_idmap=lacks_idmap,
    )
    log.info("the default runtime handler is %s: %s", runtime.choice.handler, runtime.choice.reason)
    network = CniNetwork(
        conf_dir=config.network.conf_dir,
        bin_dirs=config.network.bin_dirs,
        cache_dir=os.path.join(config.root, "cni"),
        fallback_conflist=CONFLIST if config.network.default_conflist else None,
        plugin_timeout=config.network.plugin_timeout,
        metrics=metrics,
    )
    return Powers(
        runtime=runtime,
        monitors=monitors,
        namespaces=PinnedNamespaces(config.state, monitors.zygote),
        cgroups=cgroups,
        rootfs=OverlayRootfs(config.root, config.state, store=config.store),
        image_volumes=ImageVolumesDriver(config.store, config.state),
        network=network,
        pod_files=PodFilesDriver(config.state, shm_size=lambda: live.current.runtime.shm_size),
        bundles=BundlesDriver(config.root, config.state),
        host=HostDriver(),
        images=images,
        clock=SystemClock(),
        injections=InjectionFiles(
            lambda: live.current.runtime.cdi_spec_dirs, lambda: live.current.runtime.hooks_dirs
        ),
    )


async def removed(cgroups: CgroupfsDriver, path: str) -> None:
    """Remove a cgroup as soon as the processes that were told to end have left it."""
    for _ in range(100):
        try:
            await cgroups.remove(path)
        except FailedPrecondition:
            await asyncio.sleep(0.02)
        else:
            return
    log.warning("cgroup %s is left: its processes do not end", path)


def own_cgroup(state: str, cgroups: CgroupfsDriver) -> str:
    """Where the monitors live: apart from the daemon and from every pod, one per server."""
    return cgroups.server_path("monitors", hashlib.sha256(state.encode()).hexdigest()[:8])
