"""Ids of a pod's user namespace, seen from the host."""

from criserver.model.security import IdMapping, NamespaceMode, NamespaceOptions, UserNamespace

MAPPED = UserNamespace(NamespaceMode.POD, (IdMapping(100000, 0, 10),), (IdMapping(200000, 0, 10),))


def test_ids_on_the_host() -> None:
    assert MAPPED.on_host(0, 0) == (100000, 200000)
    assert MAPPED.on_host(9, 3) == (100009, 200003)
    assert MAPPED.on_host(10, 11) == (100000, 200000), "who is not there is the pod's root"


def test_whose_user_namespace() -> None:
    assert NamespaceOptions(userns=MAPPED).own_userns is MAPPED
    assert NamespaceOptions().own_userns is None
    assert NamespaceOptions(userns=UserNamespace()).own_userns is None
