"""The whole document: what it always has, that nothing makes `build` fail but with words, and the OCI's own schema."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from criserver.errors import CriError, InvalidArgument
from criserver.model.container import Mount
from criserver.model.resources import LinuxResources
from criserver.model.security import IdMapping, SecurityProfile
from criserver.spec.assemble import build, clamped
from criserver.spec.capabilities import ALL
from criserver.spec.wish import HostFacts, SpecWish
from tests.support import wishes
from tests.support.oci_schema import check


def test_schema_sees_what_is_wrong(schema: Any) -> None:
    document = build(wishes.plain())
    check(schema, document)
    document["linux"]["resources"]["devices"][0]["allow"] = "yes"
    assert list(schema.iter_errors(document))


def full() -> SpecWish:
    """Much of what can be asked, at once."""
    shared = Mount("/data", "/srv/data", readonly=True, recursive_read_only=True, mount_options=("noexec",))
    wish = wishes.secured(
        wishes.mounting(shared),
        seccomp=SecurityProfile(),
        masked_paths=("/proc/kcore",),
        readonly_paths=("/proc/sys",),
        no_new_privs=True,
        readonly_rootfs=True,
    )
    limits = LinuxResources(100000, 50000, 512, 1 << 28, 1 << 28, 100, "0-1", "0", (), {"memory.high": "1000000"})
    return wishes.asking(wish, resources=limits, tty=True, envs=(("A", "b"),))


@pytest.mark.parametrize("wish", [wishes.plain(), wishes.privileged(), full()], ids=["plain", "privileged", "full"])
def test_documents_are_valid(schema: Any, wish: SpecWish) -> None:
    check(schema, build(wish))


RANDOM = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # a wish is long to print
@RANDOM
@given(wish=wishes.wishes(hostile=True))
def test_anything_gives_a_document_or_words(schema: Any, wish: SpecWish) -> None:
    try:
        document = build(wish)
    except CriError:
        return
    check(schema, document)


@RANDOM
@given(wish=wishes.wishes(hostile=False))
def test_what_has_a_meaning_gives_a_valid_document(schema: Any, wish: SpecWish) -> None:
    document = build(wish)
    check(schema, document)
    assert document["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    held = document["process"]["capabilities"]
    assert held["inheritable"] == held["ambient"] == []
    assert wish.host.capabilities.issuperset(held["bounding"])
    assert json.dumps(document) == json.dumps(build(wish))


def test_privileged_needs_a_privileged_pod() -> None:
    with pytest.raises(InvalidArgument, match="sandbox was not made for privileged"):
        build(wishes.secured(privileged=True))


def test_text_that_no_runtime_can_read_is_refused_where_it_stands() -> None:
    with pytest.raises(InvalidArgument, match=r"process\.args: holds a NUL"):
        build(wishes.asking(command=("/bin/sh", "a\0b")))
    with pytest.raises(InvalidArgument, match=r"process\.env: not valid UTF-8"):
        build(wishes.asking(envs=(("A", "\ud800"),)))


def test_secrets_stay_out_of_errors() -> None:
    with pytest.raises(InvalidArgument) as caught:
        build(wishes.asking(envs=(("PASSWORD", "hunter2\0"),)))
    assert "hunter2" not in str(caught.value)


def test_clamped_says_what_was_not_given() -> None:
    host = HostFacts(capabilities=frozenset(ALL) - {"CAP_SYS_RESOURCE"}, oom_score_adj=0)
    assert clamped(wishes.plain(host=host)) == ()
    wish = wishes.privileged(wishes.asking(wishes.plain(host=host), resources=LinuxResources(oom_score_adj=-998)))
    said = clamped(wish)
    assert len(said) == 2
    assert "-998 became 0" in said[0]
    assert "CAP_SYS_RESOURCE" in said[1]
    document = build(wish)
    assert document["process"]["oomScoreAdj"] == 0
    assert "CAP_SYS_RESOURCE" not in document["process"]["capabilities"]["bounding"]


def test_the_version_is_one_that_crun_takes_whatever_is_in_the_document() -> None:
    maps = (IdMapping(100000, 0, 10),)
    mount = Mount("/data", "/srv", uid_mappings=maps, gid_mappings=maps)
    wish = replace(wishes.mounting(mount), host=HostFacts(idmapped_mounts=True))
    assert build(wish)["ociVersion"] == "1.0.2"
    assert build(wishes.plain())["ociVersion"] == "1.0.2"
