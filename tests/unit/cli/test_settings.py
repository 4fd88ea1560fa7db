import argparse
from pathlib import Path

import pytest

from criserver.cli import settings
from criserver.errors import ConfigError


def parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    settings.arguments(parser)
    return parser.parse_args(argv)


def test_flags_win(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("root: /file\nlog_level: error\n")
    config = settings.configuration(parse("--config", f"{tmp_path}/c.yaml", "--root", "/flag"))
    assert (config.root, config.log_level) == ("/flag", "error")


def test_a_flag_that_cannot_be_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("")
    with pytest.raises(ConfigError, match="^command line: listen must be unix://"):
        settings.configuration(parse("--config", f"{tmp_path}/c.yaml", "--listen", "tcp://0.0.0.0:1"))
