"""`criserver wipe`: a node taken apart through its own server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import assert_clean, serving
from tests.support import cri
from tests.support.cri import container_config, pod_config
from tests.support.server import PROJECT, Server


def wipe(server: Server, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "criserver", "wipe", "--listen", server.socket, *options]
    return subprocess.run(argv, capture_output=True, text=True, cwd=PROJECT, check=False, timeout=120)


def test_a_node_is_taken_apart(tmp_path: Path, pulling: Mapping[str, str]) -> None:
    with serving(tmp_path, {"image": pulling}) as server, server.client() as client:
        cri.pull(client)
        for name in ("one", "two", "three"):
            config = pod_config(name)
            pod = cri.run(client, config)
            cri.start(client, cri.create(client, pod, container_config("c", "sleep", "600"), config))
        shown = wipe(server, "--images")
        assert shown.returncode == 0
        assert shown.stdout.count("would remove pod") == 3
        assert "would remove image docker.io/library/busybox:latest" in shown.stdout
        assert len(cri.pods(client)) == 3, "nothing goes without --yes"
        done = wipe(server, "--images", "--yes")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("removed pod default/") == 3
        assert not cri.pods(client)
        assert not client("ListImages", pb.ListImagesRequest()).images
        assert_clean(server)


def test_no_server(tmp_path: Path) -> None:
    refused = wipe(Server(tmp_path), "--yes")
    assert refused.returncode == 1
    assert "no server answers" in refused.stderr
