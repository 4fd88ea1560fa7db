"""Names of CDI devices, and which of them a request asks for."""

import pytest

from criserver.model.edits import NO_EDITS, Edits, cdi_name, cdi_requested


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("vendor.com/class=device", ("vendor.com/class", "device")),
        ("v/c=d", ("v/c", "d")),
        ("v1-x_y/c.d=0", ("v1-x_y/c.d", "0")),
        ("nvidia.com/gpu=all", ("nvidia.com/gpu", "all")),
        ("nvidia.com/gpu=0:1", ("nvidia.com/gpu", "0:1")),
        ("v/c", None),
        ("v=d", None),
        ("/dev/null", None),
        ("v/c=", None),
        ("1v/c=d", None),
        ("v/1c=d", None),
        ("v-/c=d", None),
        ("v/c-=d", None),
        ("v/c=-d", None),
        ("v/c=d:", None),
        ("v/c=d=e", None),
        ("v/c/d=e", None),
        ("v/c=d\n", None),
        ("ü/c=d", None),
        ("v/c=" + "d" * 600, None),
    ],
)
def test_names(text: str, name: tuple[str, str] | None) -> None:
    assert cdi_name(text) == name


def test_field_and_annotations_each_device_once() -> None:
    annotations = {"cdi.k8s.io/b": "v/c=2,v/c=1", "cdi.k8s.io/a": "v/c=3, v/c=0", "x.io/cdi.k8s.io/": "v/c=9"}
    assert cdi_requested(("v/c=0", "v/c=0"), annotations) == ("v/c=0", "v/c=3", "v/c=2", "v/c=1")
    assert cdi_requested((), {}) == ()
    assert cdi_requested((), {"cdi.k8s.io/a": ""}) == ("",), "refused as no name, not left out"


def test_edits_add_up() -> None:
    assert Edits(env=("A=b",), rdt={"closID": "x"}) + Edits(env=("C=d",), gids=(1,)) == Edits(
        env=("A=b", "C=d"), gids=(1,), rdt={"closID": "x"}
    )
    assert NO_EDITS + NO_EDITS == NO_EDITS
