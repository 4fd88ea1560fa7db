"""The one thing that a wish derives."""

from dataclasses import replace

from criserver.model.security import NamespaceMode, UserNamespace
from tests.support import wishes


def test_user_namespace_is_the_pods() -> None:
    assert not wishes.plain().user_namespace
    options = replace(wishes.OWN_PID, userns=wishes.MAPPED)
    assert wishes.podded(namespace_options=options).user_namespace
    node = replace(options, userns=UserNamespace(NamespaceMode.NODE))
    assert not wishes.podded(namespace_options=node).user_namespace
