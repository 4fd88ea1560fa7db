"""The recipes for nodes: what can be said of them without Docker and a cluster."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from criserver.config import document, keys
from criserver.config.schema import Config

KIND = Path(__file__).resolve().parents[3] / "kind"
SOCKET = "unix:///run/criserver/criserver.sock"


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((KIND / name).read_text()))


@pytest.mark.parametrize("name", ["files/criserver.yaml", "k3s/criserver.yaml"])
def test_our_own_configurations_are_taken(name: str) -> None:
    keys.build(keys.check(document.read(str(KIND / name)), Config), Config)


def test_every_kubelet_is_pointed_at_the_socket() -> None:
    assert Config().listen == SOCKET
    patches = [yaml.safe_load(text) for text in documents("cluster.yaml")[0]["kubeadmConfigPatches"]]
    assert [each["nodeRegistration"]["criSocket"] for each in patches] == [SOCKET, SOCKET]
    assert documents("kubeadm/init.yaml")[0]["nodeRegistration"]["criSocket"] == SOCKET
    assert documents("kubelet/kubelet.yaml")[0]["containerRuntimeEndpoint"] == SOCKET
    assert documents("k3s/config.yaml")[0]["container-runtime-endpoint"] == SOCKET


@pytest.mark.parametrize("name", ["build", "up", "files/ctr"])
def test_scripts_are_shell(name: str) -> None:
    assert os.access(KIND / name, os.X_OK)
    subprocess.run(["bash", "-n", KIND / name], check=True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--namespace=k8s.io", "images", "import", "--all-platforms", "--digests", "--snapshotter=overlayfs", "-"],
            "criserver load -",
        ),
        (["-n", "k8s.io", "images", "import", "/x.tar"], "criserver load /x.tar"),
        (["--namespace=k8s.io", "images", "list", "-q"], "ctr --namespace=k8s.io images list -q"),
        (["content", "fetch", "import"], "ctr content fetch import"),
    ],
)
def test_what_kind_imports_goes_to_criserver(tmp_path: Path, arguments: list[str], expected: str) -> None:
    for name in ("criserver", "ctr"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CTR": str(tmp_path / "ctr")}
    done = subprocess.run([KIND / "files/ctr", *arguments], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
