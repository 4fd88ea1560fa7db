from pathlib import Path

from criserver.cli.demo import programs


def test_output_is_what_is_printed_whatever_the_exit_code() -> None:
    assert programs.output("sh", "-c", "echo out; echo err >&2; exit 3") == "out\n"
    assert programs.output("no-such-program") == ""


def test_the_server_is_this_python_and_its_log_comes_through(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("rot: 1\n")
    with programs.start_server(f"{tmp_path}/c.yaml") as child:
        assert child.stderr is not None
        assert b"unknown key rot" in child.stderr.read()
    assert child.returncode == 1
