"""Which namespaces are joined, made or shared."""

from dataclasses import replace

import pytest

from criserver.errors import FailedPrecondition, Internal, InvalidArgument
from criserver.model.container import ProcessUser
from criserver.model.security import IdMapping, NamespaceMode, NamespaceOptions, UserNamespace
from criserver.spec.namespaces import describe, id_mappings, maps, namespaces
from criserver.spec.wish import HostFacts, SpecWish
from tests.support import wishes

POD, CONTAINER, NODE, TARGET = NamespaceMode.POD, NamespaceMode.CONTAINER, NamespaceMode.NODE, NamespaceMode.TARGET


def with_options(own: NamespaceOptions, pod: NamespaceOptions | None = None) -> SpecWish:
    return wishes.podded(wishes.secured(namespace_options=own), namespace_options=pod or own)


def joined(wish: SpecWish) -> dict[str, str | None]:
    return {namespace["type"]: namespace.get("path") for namespace in namespaces(wish)}


def test_a_kubelets_pod() -> None:
    assert joined(wishes.plain()) == {
        "mount": None,
        "cgroup": None,
        "network": "/run/ns/net",
        "ipc": "/run/ns/ipc",
        "uts": "/run/ns/uts",
        "pid": None,
    }


@pytest.mark.parametrize(
    ("own", "pod", "pid"),
    [(POD, POD, "/run/ns/pid"), (TARGET, CONTAINER, "/run/ns/pid"), (CONTAINER, POD, None), (NODE, POD, "absent")],
)
def test_pid(own: NamespaceMode, pod: NamespaceMode, pid: str | None) -> None:
    assert joined(with_options(NamespaceOptions(pid=own), NamespaceOptions(pid=pod))).get("pid", "absent") == pid


def test_a_pod_without_shared_pids_has_none_to_share() -> None:
    with pytest.raises(FailedPrecondition, match="pid CONTAINER and so no PID namespace to share"):
        namespaces(with_options(NamespaceOptions(pid=POD), wishes.OWN_PID))


def test_host_network_and_ipc() -> None:
    options = NamespaceOptions(NODE, CONTAINER, NODE)
    wish = with_options(options)
    assert joined(replace(wish, namespaces={})) == {"mount": None, "cgroup": None, "pid": None}
    assert joined(replace(wish, namespaces={"uts": "/u"}))["uts"] == "/u"


def test_the_containers_network_is_the_pods() -> None:
    assert "network" not in joined(with_options(wishes.OWN_PID, NamespaceOptions(NODE, CONTAINER, POD)))
    for options, kind in ((NamespaceOptions(network=NODE), "network"), (NamespaceOptions(ipc=NODE), "ipc")):
        with pytest.raises(InvalidArgument, match=f"namespace_options.{kind}: NODE, but the pod sandbox has POD"):
            namespaces(with_options(options, NamespaceOptions()))


@pytest.mark.parametrize("mode", [CONTAINER, TARGET])
def test_modes_without_meaning(mode: NamespaceMode) -> None:
    with pytest.raises(InvalidArgument, match="give POD or NODE"):
        namespaces(with_options(wishes.OWN_PID, NamespaceOptions(network=mode)))


@pytest.mark.parametrize("kind", ["net", "ipc", "uts"])
def test_a_namespace_that_is_not_there_is_said(kind: str) -> None:
    paths = dict(wishes.plain().namespaces)
    del paths[kind]
    with pytest.raises(Internal, match=f"its {kind} namespace is not there"):
        namespaces(wishes.plain(namespaces=paths))


def test_user_namespace() -> None:
    options = replace(wishes.OWN_PID, userns=wishes.MAPPED)
    document = describe(with_options(options))
    assert {"type": "user", "path": "/run/ns/user"} in document["namespaces"]
    assert document["uidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 65536}]
    assert id_mappings(with_options(replace(options, userns=UserNamespace(NODE)))) == {}


def test_containers_have_the_user_namespace_of_their_pod() -> None:
    pod = replace(wishes.OWN_PID, userns=wishes.MAPPED)
    other = UserNamespace(POD, (IdMapping(200000, 0, 65536),), (IdMapping(200000, 0, 65536),))
    assert id_mappings(with_options(wishes.OWN_PID, pod)), "who says nothing has the pod's"
    for own, given in ((other, pod), (UserNamespace(NODE), pod), (other, wishes.OWN_PID)):
        with pytest.raises(InvalidArgument, match="namespace_options.userns_options: other than those of the pod"):
            namespaces(with_options(replace(wishes.OWN_PID, userns=own), given))
    namespaces(with_options(replace(wishes.OWN_PID, userns=UserNamespace(NODE)), wishes.OWN_PID))


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (ProcessUser(65536), "user id 65536 is not mapped in the pod's user namespace, which has 65536 ids"),
        (ProcessUser(1, 65536), "group id 65536"),
        (ProcessUser(1, 1, (2, 70000)), "group id 70000"),
    ],
)
def test_every_id_of_the_user_is_mapped(user: ProcessUser, words: str) -> None:
    options = replace(wishes.OWN_PID, userns=wishes.MAPPED)
    with pytest.raises(InvalidArgument, match=words):
        namespaces(replace(with_options(options), user=user))
    namespaces(replace(with_options(options), user=ProcessUser(65535, 65535, (65535,))))
    namespaces(replace(with_options(wishes.OWN_PID), user=user))


def test_a_user_namespace_that_maps_nothing_is_said() -> None:
    options = replace(wishes.OWN_PID, userns=UserNamespace(POD))
    with pytest.raises(InvalidArgument, match="user id 0 is not mapped .* which has 0 ids"):
        namespaces(with_options(options))


def test_maps() -> None:
    some = UserNamespace(POD, (), (IdMapping(1000, 0, 5), IdMapping(2000, 7, 1)))
    assert [gid for gid in range(10) if maps(some, gid)] == [0, 1, 2, 3, 4, 7]
    assert maps(None, 5)


def test_cgroup_namespace_where_the_kernel_has_them() -> None:
    assert "cgroup" not in joined(wishes.plain(host=HostFacts(cgroup_namespaces=False)))
