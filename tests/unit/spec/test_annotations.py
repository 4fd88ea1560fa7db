"""Which annotations reach the runtime."""

from dataclasses import replace

from criserver.model.container import ImageSpec
from criserver.spec.annotations import document_annotations
from criserver.spec.wish import Policy, SpecWish
from tests.support import wishes


def annotated(annotations: dict[str, str], allowed: frozenset[str] = frozenset()) -> SpecWish:
    wish = wishes.asking(annotations=annotations)
    sandbox = replace(wish.sandbox, annotations=annotations)
    return replace(wish, sandbox=sandbox, policy=Policy(allowed_annotations=allowed))


def test_ours_tell_whose_container_it_is() -> None:
    image = ImageSpec("sha256:1", user_specified_image="nginx")
    assert document_annotations(wishes.asking(image=image)) == {
        "io.kubernetes.cri.container-name": "web",
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.image-name": "nginx",
        "io.kubernetes.cri.sandbox-id": "s1",
        "io.kubernetes.cri.sandbox-name": "pod",
        "io.kubernetes.cri.sandbox-namespace": "default",
        "io.kubernetes.cri.sandbox-uid": "uid-1",
    }


def test_a_scope_has_no_cgroup_below_it() -> None:
    wish = replace(annotated({"run.oci.systemd.subgroup": "x"}, frozenset({"run.oci.*"})), cgroups_path="a.slice:p:c")
    assert document_annotations(wish)["run.oci.systemd.subgroup"] == ""


def test_a_pods_own_are_left_out_cve_2024_3154() -> None:
    wish = annotated({"org.systemd.property.ExecStopPost": "evil", "run.oci.handler": "krun", "x": "y"})
    assert document_annotations(wish) == document_annotations(wishes.plain())


def test_systemd_properties_are_left_out_even_when_allowed() -> None:
    key = "org.systemd.property.ExecStopPost"
    assert key not in document_annotations(annotated({key: "evil"}, frozenset({key})))


def test_only_the_exact_key_is_allowed_cve_2023_6476() -> None:
    wish = annotated({"x.io/cpu": "1", "x.io/cpu.web": "2", "x.io": "3"}, frozenset({"x.io/cpu"}))
    assert {key: value for key, value in document_annotations(wish).items() if key.startswith("x")} == {"x.io/cpu": "1"}


def test_keys_by_their_beginning_where_the_operator_says_so() -> None:
    given = {"io.x/a": "1", "io.x/": "2", "io.x": "3", "prefix.io.x/a": "4", "org.systemd.property.X": "5"}
    result = document_annotations(annotated(given, frozenset({"io.x/*", "org.*"})))
    assert {key for key in given if key in result} == {"io.x/a", "io.x/"}


def test_the_containers_counts_more_than_the_pods() -> None:
    wish = annotated({"a": "container"}, frozenset({"a"}))
    wish = replace(wish, sandbox=replace(wish.sandbox, annotations={"a": "pod"}))
    assert document_annotations(wish)["a"] == "container"


def test_nobody_overrides_ours() -> None:
    key = "io.kubernetes.cri.sandbox-id"
    assert document_annotations(annotated({key: "other"}, frozenset({key})))[key] == "s1"
