"""Whether this host can give pods user namespaces: tried out for real, with nothing left of the trial."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conmon.client import ConmonError, Zygote
from criserver.drivers.roots import idmap_probe
from criserver.kernel import mount
from tests.root.drivers.conftest import Place


@pytest.fixture(autouse=True)
def _passable(place: Place) -> None:
    """pytest's directories are closed to others, and the root of a pod's user namespace is others."""
    for parent in (place.state.parent, *place.state.parent.parents[:2]):
        parent.chmod(0o711)


async def test_this_host_can(place: Place, zygote: Zygote) -> None:
    before = mount.mounts()
    assert await idmap_probe.lacks(str(place.root), str(place.state), zygote) == ""
    assert mount.mounts() == before and os.listdir(place.state) == ["zygote"]
    assert os.listdir(place.root) == ["layers"] and os.listdir(place.root / "layers") == []


async def test_a_directory_above_that_is_closed_is_named(place: Place, zygote: Zygote) -> None:
    place.state.parent.chmod(0o700)
    said = await idmap_probe.lacks(str(place.root), str(place.state), zygote)
    assert said.startswith(f"{place.state.parent} is closed to others") and "chmod o+x" in said


async def test_a_file_system_that_maps_no_ids_is_named(place: Place, zygote: Zygote) -> None:
    (place.root / "layers").mkdir()
    mount.mount("test", str(place.root / "layers"), "ramfs")  # which has no FS_ALLOW_IDMAP
    said = await idmap_probe.lacks(str(place.root), str(place.state), zygote)
    assert said.startswith(f"the kernel cannot map the ids of image layers on the file system of {place.root}")


class Refusing(Zygote):
    """A zygote on a kernel without user namespaces."""

    async def user_namespace(self, spec: object) -> tuple[list[int], list[str]]:
        raise ConmonError("unshare: No space left on device")


async def test_a_kernel_without_user_namespaces_is_said(tmp_path: Path) -> None:
    said = await idmap_probe.lacks(str(tmp_path), str(tmp_path), Refusing(tmp_path))
    assert said.startswith("this kernel gives no user namespaces (") and "No space left" in said
