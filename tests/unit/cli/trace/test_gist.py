import json

import pytest

from criserver.cli.trace.gist import gist, shortened
from criserver.observe.timings import Asked
from tests.unit.cli.trace.kit import ID, RESULT, SPEC


def test_ids_are_shortened() -> None:
    assert shortened(f"/run/pod{ID}/x {ID}") == "/run/pod0123456789ab…/x 0123456789ab…"
    assert shortened("f" * 65) == "f" * 65


def test_a_plugins_result() -> None:
    asked = Asked("cni", "bridge", answer=json.dumps(RESULT))
    assert gist(asked) == ("eth0 has 10.0.0.5/24, its way out is 10.0.0.1",)


def test_a_spec_and_an_answer() -> None:
    spec, answer = gist(Asked("runtime", "runc create", text=json.dumps(SPEC), answer="init is pid 7"))
    assert spec == (
        "runs “sh -c true” as 0:7; joins the pod's network namespaces; gets mount namespaces of its own; 2 mounts; "
        "1 capabilities; a filter of 3 rules for system calls; at most 64 MiB of memory"
    )
    assert answer == "init is pid 7"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ips": 3}', '{"ips": [{}]}', "null", '{"process": []}', "{} {}"])
@pytest.mark.parametrize("kind", ["cni", "runtime", "file"])
def test_what_is_no_such_document_says_nothing(kind: str, text: str) -> None:
    asked = Asked(kind, "x", text=text, answer=text if kind == "cni" and text.startswith("{") else "")
    assert gist(asked) == ()
