import pytest

from criserver.cli import main as cli
from criserver.config import dump


def test_example_is_printed_whatever_the_host_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "--example"]) == 0
    assert capsys.readouterr().out == dump.example()
