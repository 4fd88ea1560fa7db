from pathlib import Path

import pytest

import criserver
from criserver.cli import main as cli
from criserver.config.load import load
from criserver.config.schema import Config


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"criserver {criserver.__version__}\n"


def test_an_error_is_one_line_that_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("rot: /x\n")
    assert cli.main(["config", "--config", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"criserver: {path}: unknown key rot; did you mean root?\n"


@pytest.mark.parametrize("argv", [[], ["sreve"], ["serve", "--nope"], ["load"], ["serve", "--log-level", "loud"]])
def test_wrong_use_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert "usage: criserver" in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    assert cli.COMMANDS[name].HELP[1:] in " ".join(capsys.readouterr().out.split())


def test_config_prints_what_load_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text("root: /from-file\nstate: /state\n")
    argv = ["config", "--config", f"{tmp_path}/c.yaml", "--root", "/from-flag", "--listen", "unix:///x", "--log-level"]
    assert cli.main([*argv, "debug"]) == 0
    (tmp_path / "out.yaml").write_text(capsys.readouterr().out)
    config = load(f"{tmp_path}/out.yaml")
    assert (config.root, config.state, config.listen) == ("/from-flag", "/state", "unix:///x")
    assert config.log_level == "debug"
    assert config.network == Config().network
