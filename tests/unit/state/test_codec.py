import pytest
from hypothesis import given
from hypothesis import strategies as st

from criserver.errors import Internal
from criserver.model.container import Container
from criserver.model.sandbox import DnsConfig, PodMetadata, Sandbox, SandboxConfig, SandboxState
from criserver.state.codec import decode, encode

names = st.text(max_size=20)


@given(names, names, st.dictionaries(names, names, max_size=3), st.integers(0, 2**32 - 1))
def test_what_is_encoded_is_decoded(name: str, uid: str, labels: dict[str, str], attempt: int) -> None:
    config = SandboxConfig(PodMetadata(name, uid, "default", attempt), labels=labels, dns=DnsConfig(("10.0.0.1",)))
    row = Sandbox("1" * 64, config, "runc", SandboxState.READY, 5, ips=("10.0.0.2",))
    assert decode(Sandbox, encode(row)) == row


def test_other_versions_of_a_record_are_read() -> None:
    record = b'{"name": "a", "uid": "b", "namespace": "c", "added_later": [1]}'
    assert decode(PodMetadata, record) == PodMetadata("a", "b", "c", 0)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"id": 5}', b"\xff"])
def test_damage_is_told_and_nothing_else(data: bytes) -> None:
    with pytest.raises(Internal, match="Container record is damaged"):
        decode(Container, data)
