"""The signature policy where containers are made: what it says now counts, not what it said at the pull."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from criserver.api.pb import api_pb2 as pb
from tests.client.conftest import serving
from tests.support import cri, signatures
from tests.support.cri import container_config, pod_config
from tests.support.images import busybox_tree, file, image
from tests.support.registry import Registry
from tests.support.server import Client, Server
from tests.support.signatures import Signer

ANY, REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]
VOLUME = "docker.io/test/data:1"


class Policy:
    """The server's policy.json."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write()

    def write(self, default: Any = ANY, **docker: Any) -> None:
        """Replace it."""
        self.path.write_text(json.dumps({"default": default, "transports": {"docker": docker}}))


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return Policy(tmp_path_factory.mktemp("policy") / "policy.json")


@pytest.fixture(scope="module")
def lookaside(base: Path) -> Path:
    """An empty registries.d, for signers to fill."""
    (base / "registries.d").mkdir()
    return base / "registries.d"


@pytest.fixture(scope="module")
def signer(lookaside: Path) -> Iterator[Signer]:
    if missing := signatures.missing():
        pytest.skip(missing)
    with tempfile.TemporaryDirectory() as directory:
        somebody = signatures.signer(Path(directory) / "a")
        shutil.copy(somebody.registries_d / "default.yaml", lookaside)
        yield somebody
        somebody.close()


@pytest.fixture(scope="module")
def server(
    base: Path, pulling: Mapping[str, str], policy: Policy, registry: Registry, lookaside: Path
) -> Iterator[Server]:
    registry.push("test/data", image({"x": file("data")}), "1")
    with serving(
        base, {"image": {**pulling, "policy": str(policy.path), "registries_d": str(lookaside)}}
    ) as running:
        with running.client() as client:
            for name in (cri.BUSYBOX, VOLUME):
                cri.pull(client, name)
        yield running


@pytest.fixture
def pod(client: Client, policy: Policy) -> Iterator[str]:
    pod_id = cri.run(client, pod_config("signed"))
    yield pod_id
    policy.write()
    cri.remove_pod(client, pod_id)


def refused(call: Any, code: grpc.StatusCode = grpc.StatusCode.PERMISSION_DENIED) -> str:
    with pytest.raises(grpc.RpcError) as refusal:
        call()
    error: Any = refusal.value
    assert error.code() is code
    return str(error.details())


def create(client: Client, pod_id: str, config: pb.ContainerConfig) -> str:
    return cri.create(client, pod_id, config, pb.PodSandboxConfig())


def test_a_name_that_is_rejected_by_now(server: Server, client: Client, policy: Policy, pod: str) -> None:
    policy.write(**{"docker.io/library": REJECT})
    config = container_config("main", "true")
    words = refused(lambda: create(client, pod, config))
    assert words.startswith(f"SignatureValidationFailed: image {cri.BUSYBOX} is rejected by {policy.path}")
    assert "scope 'docker.io/library' of docker" in words
    config.image.image = client(
        "ImageStatus", pb.ImageStatusRequest(image=pb.ImageSpec(image=cri.BUSYBOX))
    ).image.id
    refused(lambda: create(client, pod, config))
    config.image.user_specified_image = "busybox"
    refused(lambda: create(client, pod, config))
    assert [row for row in server.rows() if "container" in row] == []
    policy.write()
    assert create(client, pod, config)


def test_signatures_that_nobody_has_checked(client: Client, policy: Policy, pod: str) -> None:
    signed = [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(policy.path)}]
    policy.write(**{"docker.io": signed})
    words = refused(lambda: create(client, pod, container_config("main", "true")))
    assert "was not pulled under the signatures that the policy asks for now" in words
    # The kubelet reads the words of a refused pull, and those only with this status.
    pulled = refused(lambda: cri.pull(client, cri.BUSYBOX), grpc.StatusCode.UNKNOWN)
    assert "ignature" in pulled, "what is here already is no reason not to look at signatures"
    policy.write(signed, **{"docker.io": ANY})
    assert create(client, pod, container_config("main", "true"))


@pytest.mark.parametrize("scope", ["docker.io/test", "docker.io/test/signed:1"])
def test_an_image_that_is_signed(
    client: Client, policy: Policy, pod: str, registry: Registry, signer: Signer, scope: str
) -> None:
    name, document = "docker.io/test/signed:1", image(busybox_tree(), {"scope": file(scope)})
    registry.push("test/signed", document, "1")
    policy.write(REJECT, **{scope: [signer.requirement], "docker.io/library": ANY})
    words = refused(lambda: cri.pull(client, name), grpc.StatusCode.UNKNOWN)
    assert words.startswith("SignatureValidationFailed: ")
    assert "no signature exists" in words
    signer.sign(document, name)
    image_id = cri.pull(client, name)
    config = container_config("main", "true")
    config.image.image, config.image.user_specified_image = image_id, name  # as the kubelet has it
    container_id = create(client, pod, config)
    client("RemoveContainer", pb.RemoveContainerRequest(container_id=container_id))
    config.image.user_specified_image = "docker.io/test/signed:2"
    refused(lambda: create(client, pod, config))
    policy.write(REJECT, **{scope: [{**signer.requirement, "keyPath": str(policy.path)}]})
    config.image.user_specified_image = name
    assert f"crictl pull {name}" in refused(lambda: create(client, pod, config))


def test_an_image_volume_is_measured_too(client: Client, policy: Policy, pod: str) -> None:
    config = container_config("main", "true")
    config.mounts.append(pb.Mount(container_path="/data", image=pb.ImageSpec(image=VOLUME)))
    policy.write(**{"docker.io/test/data": REJECT})
    assert VOLUME in refused(lambda: create(client, pod, config))
    policy.write()
    assert create(client, pod, config)


def test_a_pull_of_a_rejected_name_asks_no_registry(client: Client, policy: Policy, registry: Registry) -> None:
    policy.write(REJECT)
    before = registry.requests("/v2/")
    words = refused(lambda: cri.pull(client, VOLUME), grpc.StatusCode.UNKNOWN)
    assert words.startswith("SignatureValidationFailed: ")
    assert registry.requests("/v2/") == before
    policy.write()
    cri.pull(client, VOLUME)


def test_a_policy_that_is_broken_is_named(client: Client, policy: Policy, pod: str) -> None:
    policy.path.write_text("{")
    with pytest.raises(grpc.RpcError, match=r"image\.policy: .* is no signature policy") as refusal:
        create(client, pod, container_config("main", "true"))
    error: Any = refusal.value
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
