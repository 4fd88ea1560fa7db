from pathlib import Path

import pytest

from criserver.config import dump
from criserver.config.load import load
from criserver.config.schema import Config, ImageConfig, MetricsConfig

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(root="/ä b: c", image=ImageConfig(pinned=("a", "- b", "no", "1")), metrics=MetricsConfig(port=0)),
    ],
)
def test_what_is_printed_reads_back_the_same(tmp_path: Path, config: Config) -> None:
    (tmp_path / "c.yaml").write_text(dump.effective(config))
    assert load(str(tmp_path / "c.yaml")) == config


def test_the_shipped_example_is_the_defaults_with_a_comment_for_every_key(tmp_path: Path) -> None:
    shipped = ROOT / "config" / "config.yaml"
    assert shipped.read_text() == dump.example(), "run: criserver config --example > config/config.yaml"
    (tmp_path / "c.yaml").write_text(shipped.read_text())
    assert load(str(tmp_path / "c.yaml")) == Config()
