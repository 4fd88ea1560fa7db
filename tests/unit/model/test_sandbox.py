"""Whose network a pod uses."""

import pytest

from criserver.model.sandbox import PodMetadata, SandboxConfig
from criserver.model.security import NamespaceMode, NamespaceOptions, SandboxSecurity


@pytest.mark.parametrize(("mode", "host"), [(NamespaceMode.NODE, True), (NamespaceMode.POD, False)])
def test_the_network_alone_decides(mode: NamespaceMode, host: bool) -> None:
    options = NamespaceOptions(network=mode, ipc=NamespaceMode.NODE, pid=NamespaceMode.NODE)
    config = SandboxConfig(PodMetadata("web", "uid", "ns"), security=SandboxSecurity(namespace_options=options))
    assert config.host_network is host
    assert not SandboxConfig(PodMetadata("web", "uid", "ns")).host_network
