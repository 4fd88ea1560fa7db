"""The image service and what it stands on."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence

from criserver.config.live import Live
from criserver.config.schema import Config, ImageConfig
from criserver.drivers.cgroups.cgroupfs import CgroupfsDriver
from criserver.drivers.images.admission import PolicyAdmission
from criserver.drivers.images.archive import ImageArchives
from criserver.drivers.images.layers import LayerDirectory, LayerLimits
from criserver.drivers.images.registry import SkopeoRegistry
from criserver.drivers.images.short_names import ShortNames
from criserver.drivers.images.skopeo import Skopeo, SkopeoSettings
from criserver.drivers.images.unpacker import Unpacker
from criserver.drivers.images.workspace import Workspaces
from criserver.errors import FailedPrecondition
from criserver.kernel import cgroupfs
from criserver.kernel.proc import boot_id
from criserver.lifecycle.images.admissions import Admissions
from criserver.lifecycle.images.check import ImageCheck
from criserver.lifecycle.images.doubts import Doubts
from criserver.lifecycle.images.images import ImageService
from criserver.lifecycle.images.pulls import Sources
from criserver.lifecycle.operations import Operations
from criserver.model import cgroup_names
from criserver.observe.metrics import Metrics
from criserver.state.additional import AdditionalStore, read_store
from criserver.state.db import Database
from criserver.state.images import ImageRepository
from criserver.state.seals import Seals

log = logging.getLogger(__name__)


def additional_stores(paths: Sequence[str]) -> tuple[AdditionalStore, ...]:
    """Those that can be used: a disk that is not there today is no reason to run no pods."""
    stores: list[AdditionalStore] = []
    for path in paths:
        try:
            stores.append(read_store(path, len(stores)))
        except FailedPrecondition as error:
            log.error("image.additional_stores: %s", error)
            continue
        for image_id in stores[-1].broken:
            log.error("image.additional_stores: %s: image %s has layers that are not there", path, image_id)
    return tuple(stores)


def writable_mountpoint(config: Config) -> str:
    """What names the file system of writable layers: the images' name for it when they lie on the same one.

    The directories are made here, since file systems are told by them.
    """
    images, written = os.path.join(config.store, "layers"), os.path.join(config.root, "containers")
    for path in (images, written):
        os.makedirs(path, mode=0o700, exist_ok=True)
    return images if os.stat(images).st_dev == os.stat(written).st_dev else written


async def image_half(
    live: Live, database: Database, operations: Operations, metrics: Metrics, cgroups: CgroupfsDriver
) -> tuple[ImageService, ImageCheck]:
    """Build the image service, and what checks its store."""
    config = live.current
    procs = await _pulls_home(config, cgroups)
    workspaces = Workspaces(config.store)
    stores = additional_stores(config.image.additional_stores)
    repository = ImageRepository(database, stores, boot_id())
    limits = LayerLimits(stalled=config.image.pull_progress_timeout)
    layers = LayerDirectory(config.store, Unpacker(procs=procs), limits, [store.path for store in stores])
    sources = _sources(workspaces, config.image, metrics, procs)
    admissions = Admissions(Seals(database, stores), PolicyAdmission(config.image.policy))
    doubts = Doubts()
    service = ImageService(
        repository, sources, layers, operations, admissions, doubts=doubts, pinned=lambda: live.current.image.pinned
    )
    return service, ImageCheck(service, repository, layers, workspaces, doubts)


async def _pulls_home(config: Config, cgroups: CgroupfsDriver) -> tuple[str, ...]:
    """The cgroup of what pulls run, made and limited: the files by which a process enters it."""
    path = pulls_cgroup(config.state, cgroups)
    await cgroups.ensure(path)
    if config.image.pull_memory_limit:
        await cgroups.limit(path, {"memory": {"limit": config.image.pull_memory_limit}})
    return cgroupfs.procs_files(cgroupfs.hierarchies(), cgroup_names.directory(path))


def pulls_cgroup(state: str, cgroups: CgroupfsDriver) -> str:
    """One per server, apart from the daemon: what registries make it fetch is not the daemon's memory."""
    return cgroups.server_path("pulls", hashlib.sha256(state.encode()).hexdigest()[:8])


def _sources(workspaces: Workspaces, section: ImageConfig, metrics: Metrics, procs: tuple[str, ...]) -> Sources:
    settings = SkopeoSettings(
        section.skopeo,
        section.registries_conf,
        section.registries_d,
        section.policy,
        section.decryption_keys_path,
        procs=procs,
    )
    skopeo = Skopeo(settings)
    return Sources(
        SkopeoRegistry(skopeo, workspaces, section.auth_file, section.namespaced_auth_dir),
        ImageArchives(skopeo, workspaces),
        ShortNames(section.registries_conf),
        section.max_concurrent_pulls,
        bool(section.namespaced_auth_dir),
        metrics.pulls,
    )
