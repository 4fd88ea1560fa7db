"""Namespace options and ID mappings."""

import pytest

from criserver.api.convert import namespaces
from criserver.api.pb import api_pb2 as pb
from criserver.errors import InvalidArgument
from criserver.model.security import IdMapping, NamespaceMode, NamespaceOptions, UserNamespace

MAPPING = pb.IDMapping(host_id=100000, container_id=0, length=65536)
OPTIONS = pb.NamespaceOption(
    network=pb.NamespaceMode.NODE,
    pid=pb.NamespaceMode.TARGET,
    ipc=pb.NamespaceMode.NODE,
    target_id="c0",
    userns_options=pb.UserNamespace(mode=pb.NamespaceMode.POD, uids=[MAPPING], gids=[MAPPING]),
)


def test_there_and_back() -> None:
    maps = (IdMapping(100000, 0, 65536),)
    node, userns = NamespaceMode.NODE, UserNamespace(NamespaceMode.POD, maps, maps)
    wanted = NamespaceOptions(node, NamespaceMode.TARGET, node, "c0", userns)
    assert namespaces.namespace_options(OPTIONS, "f") == wanted
    assert namespaces.namespace_options_pb(wanted) == OPTIONS
    assert namespaces.namespace_options_pb(NamespaceOptions()) == pb.NamespaceOption()


def test_a_sandbox_has_no_target() -> None:
    with pytest.raises(InvalidArgument, match=r"f\.pid: TARGET"):
        namespaces.sandbox_namespaces(OPTIONS, "f")


@pytest.mark.parametrize("mode", [pb.NamespaceMode.CONTAINER, pb.NamespaceMode.TARGET])
def test_network_and_ipc_are_the_pods_or_the_nodes(mode: pb.NamespaceMode.ValueType) -> None:
    for given, field in ((pb.NamespaceOption(network=mode), "network"), (pb.NamespaceOption(ipc=mode), "ipc")):
        with pytest.raises(InvalidArgument, match=rf"f\.{field}: .* give POD or NODE"):
            namespaces.namespace_options(given, "f")


@pytest.mark.parametrize(
    "given",
    [
        [pb.IDMapping(host_id=1, container_id=1, length=0)],
        [pb.IDMapping(host_id=2**32 - 1, container_id=0, length=1)],
        [pb.IDMapping(host_id=0, container_id=2**32 - 2, length=2)],
        [MAPPING] * 341,
    ],
)
def test_mappings_within_what_the_kernel_takes_cve_2021_43784(given: list[pb.IDMapping]) -> None:
    with pytest.raises(InvalidArgument, match="^f: "):
        namespaces.mappings(given, "f")


def test_the_longest_mapping() -> None:
    whole = [pb.IDMapping(host_id=0, container_id=0, length=2**32 - 1)]
    assert namespaces.mappings_pb(namespaces.mappings(whole, "f")) == whole


def user_namespace(*uids: pb.IDMapping, mode: pb.NamespaceMode.ValueType = pb.NamespaceMode.POD) -> pb.NamespaceOption:
    return pb.NamespaceOption(userns_options=pb.UserNamespace(mode=mode, uids=uids, gids=[MAPPING] if uids else []))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (user_namespace(), r"f\.userns_options\.uids: 0 mappings with mode POD; give one"),
        (user_namespace(MAPPING, MAPPING), r"f\.userns_options\.uids: 2 mappings"),
        (
            user_namespace(pb.IDMapping(host_id=1000, container_id=1, length=5)),
            r"f\.userns_options\.uids: container_id 1; give 0",
        ),
        (
            user_namespace(pb.IDMapping(host_id=0, container_id=0, length=5)),
            r"f\.userns_options\.uids: host_id 0 is the root of the node",
        ),
        (
            user_namespace(pb.IDMapping(host_id=5, container_id=0, length=0)),
            r"f\.userns_options\.uids: a mapping of 0 ids",
        ),
        (user_namespace(MAPPING, mode=pb.NamespaceMode.NODE), r"f\.userns_options: mappings with mode NODE"),
        (user_namespace(mode=pb.NamespaceMode.CONTAINER), r"f\.userns_options\.mode: CONTAINER has no meaning"),
        (user_namespace(mode=pb.NamespaceMode.TARGET), r"f\.userns_options\.mode: TARGET has no meaning"),
        (
            pb.NamespaceOption(userns_options=pb.UserNamespace(uids=[MAPPING], gids=[])),
            r"f\.userns_options\.gids: 0 mappings",
        ),
    ],
)
def test_user_namespaces_that_are_refused(given: pb.NamespaceOption, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        namespaces.namespace_options(given, "f")


def test_user_namespace_of_the_node() -> None:
    given = user_namespace(mode=pb.NamespaceMode.NODE)
    options = namespaces.namespace_options(given, "f")
    assert options.userns == UserNamespace() and options.own_userns is None
    assert namespaces.namespace_options_pb(options) == given
