from pathlib import Path

import pytest

from criserver.config.load import files, load
from criserver.config.schema import Config, Handler, HandlerType, LogLevel
from criserver.errors import ConfigError


def write(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def test_files_then_drop_ins_by_name_then_flags(tmp_path: Path) -> None:
    base = write(tmp_path / "config.yaml", "root: /base\nstate: /b-state\nnetwork: {conf_dir: /base, bin_dirs: [/b]}\n")
    write(tmp_path / "config.d" / "20.yaml", "root: /twenty\nlog_level: debug\n")
    write(tmp_path / "config.d" / "10.yaml", "root: /ten\nnetwork: {conf_dir: /ten}\n")
    write(tmp_path / "config.d" / ".hidden.yaml", "root: /hidden\n")
    write(tmp_path / "config.d" / "30.yaml.dpkg-old", "root: /old\n")
    config = load(base, {"log_level": "error"})
    assert (config.root, config.state, config.log_level) == ("/twenty", "/b-state", LogLevel.ERROR)
    assert (config.network.conf_dir, config.network.bin_dirs) == ("/ten", ("/b",))


def test_two_files_of_one_directory_have_drop_ins_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "config.d" / "a.yaml", "")
    second = write(tmp_path / "second.yaml", "")
    first = f"{tmp_path}/config.yaml"
    assert files(second) == [second]
    assert files(first) == [first, f"{tmp_path}/config.d/a.yaml"]


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}/no.yaml: cannot be read: No such file"):
        load(str(tmp_path / "no.yaml"))


@pytest.mark.parametrize(
    ("drop_in", "message"),
    [
        ("rot: /x\n", "unknown key rot; did you mean root?"),
        ("metrics: {port: x}\n", "metrics.port must be a whole number or null, not 'x'"),
        ("listen: tcp://x\n", "listen must be unix://"),
        ("root: x\n", "root must be an absolute path"),
        ("root: x\nroot: y\n", "line 2, column 1: key 'root' is given twice"),
    ],
)
def test_an_error_names_the_file_that_has_it(tmp_path: Path, drop_in: str, message: str) -> None:
    base = write(tmp_path / "config.yaml", "log_level: info\n")
    path = write(tmp_path / "config.d" / "x.yaml", drop_in)
    with pytest.raises(ConfigError) as caught:
        load(base)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_an_error_in_a_flag_names_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^command line: root must be an absolute path"):
        load(write(tmp_path / "config.yaml", "root: /fine\n"), {"root": "x"})


def test_handlers_of_a_file_join_the_default_ones(tmp_path: Path) -> None:
    text = "runtime: {handlers: {kata: {path: /opt/kata}, crun: {path: /opt/crun}}}\n"
    handlers = load(write(tmp_path / "config.yaml", text)).runtime.handlers
    assert handlers == {
        "runc": Handler(),
        "crun": Handler("/opt/crun", HandlerType.CRUN),
        "kata": Handler("/opt/kata"),
    }


def test_nothing_given_is_the_defaults(tmp_path: Path) -> None:
    assert load(write(tmp_path / "config.yaml", "")) == Config()
