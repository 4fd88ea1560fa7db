from __future__ import annotations

from typing import Any

import pytest

from cni.attachment import Attachment, args_text, check_container_id, check_ifname, pod_args
from cni.errors import InvalidParameter


@pytest.mark.parametrize("container_id", ["a", "0", "a" * 128, "pod_1.x-y"])
def test_good_container_ids(container_id: str) -> None:
    check_container_id(container_id)


@pytest.mark.parametrize("container_id", ["", "-a", ".", "..", "a/b", "a b", "a\n", "é", "a" * 129, "a:b", "a\0"])
def test_bad_container_ids(container_id: str) -> None:
    with pytest.raises(InvalidParameter, match="container id") as caught:
        check_container_id(container_id)
    assert caught.value.code == 4


@pytest.mark.parametrize("ifname", ["eth0", "a" * 15, "net.1-x_y", "é" * 7])
def test_good_interface_names(ifname: str) -> None:
    check_ifname(ifname)


@pytest.mark.parametrize(
    "ifname", ["", ".", "..", "a" * 16, "é" * 8, "a/b", "a:b", "a b", "a\t", "a\0", "\x1b[m", "\ud800"]
)
def test_bad_interface_names(ifname: str) -> None:
    with pytest.raises(InvalidParameter, match="interface name"):
        check_ifname(ifname)


def test_args_keep_their_order() -> None:
    assert args_text([("B", "1"), ("A_2", "x y:/z")]) == "B=1;A_2=x y:/z"
    assert args_text([]) == ""


@pytest.mark.parametrize("value", ["a;b", "a=b", ";", "a\nb", "a\0b", "\x7f", "\ud800"])
def test_values_that_would_become_other_pairs_are_refused(value: str) -> None:
    with pytest.raises(InvalidParameter, match="CNI_ARGS value of K8S_POD_NAME"):
        args_text([("K8S_POD_NAME", value)])


@pytest.mark.parametrize("key", ["", "a=b", "a;b", "a b", "é"])
def test_keys_are_plain_words(key: str) -> None:
    with pytest.raises(InvalidParameter, match="CNI_ARGS key"):
        args_text([(key, "v")])


def test_pod_args_are_those_that_kubernetes_plugins_look_for() -> None:
    args = pod_args(namespace="ns", name="web-1", uid="u-1", infra_container_id="abc")
    assert args_text(args) == (
        "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-1;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u-1"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"container_id": ""},
        {"ifname": "a/b"},
        {"netns": "relative"},
        {"netns": "/a\nb"},
        {"args": (("K", "a;b"),)},
        {"capability_args": {"x": {1, 2}}},
        {"capability_args": {"x": float("nan")}},
    ],
)
def test_an_attachment_is_checked_when_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        Attachment(**({"container_id": "a", "netns": "/n"} | wrong))
