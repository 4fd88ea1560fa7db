"""What runs, in which environment, where, and the process of an exec."""

from dataclasses import replace

import pytest

from criserver.errors import InvalidArgument
from criserver.model.container import ProcessUser
from criserver.model.image import ImageDefaults
from criserver.model.resources import LinuxResources
from criserver.spec.capabilities import ALL
from criserver.spec.process import arguments, environment, exec_process, oom_score_adj, process, working_directory
from criserver.spec.wish import HostFacts, Policy, Rlimit
from tests.support import wishes

IMAGE = ImageDefaults(entrypoint=("/entry", "e"), cmd=("c",))


@pytest.mark.parametrize(
    ("command", "args", "image", "wanted"),
    [
        ((), (), IMAGE, ["/entry", "e", "c"]),
        ((), ("a",), IMAGE, ["/entry", "e", "a"]),
        (("x",), (), IMAGE, ["x"]),
        (("x",), ("a",), IMAGE, ["x", "a"]),
        ((), (), ImageDefaults(cmd=("c",)), ["c"]),
        ((), ("a", ""), ImageDefaults(), ["a", ""]),
    ],
)
def test_arguments(command: tuple[str, ...], args: tuple[str, ...], image: ImageDefaults, wanted: list[str]) -> None:
    assert arguments(wishes.asking(command=command, args=args).config, image) == wanted


@pytest.mark.parametrize("command", [(), ("",), ("", "a")])
def test_nothing_to_run(command: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgument, match="neither entrypoint nor command"):
        arguments(wishes.asking(command=command).config, ImageDefaults())


def test_environment_later_ones_count() -> None:
    image = ImageDefaults(env=("PATH=/image", "A=image", "B=image", "no-equals", "=x", "C=1=2"))
    wish = wishes.plain(image=image, home="/home/me", policy=Policy(default_env=("A=config", "D=config")))
    env = environment(wishes.asking(wish, envs=(("B", "request"), ("E", ""), ("B", "again")), tty=True))
    assert env == [
        "PATH=/image",
        "TERM=xterm",
        "A=image",
        "D=config",
        "HOME=/home/me",
        "B=again",
        "C=1=2",
        "HOSTNAME=pod",
        "E=",
    ]


@pytest.mark.parametrize(("home", "wanted"), [("", "/"), ("relative", "/"), ("/root", "/root")])
def test_home(home: str, wanted: str) -> None:
    assert f"HOME={wanted}" in environment(wishes.plain(home=home))


def test_home_of_the_request_counts() -> None:
    assert "HOME=/h" in environment(wishes.asking(wishes.plain(home="/root"), envs=(("HOME", "/h"),)))


@pytest.mark.parametrize("home", ["/\nroot::0:0::/:/bin/sh", "/\r", "\n"])
def test_home_has_one_line_cve_2022_4318_cve_2026_15809(home: str) -> None:
    with pytest.raises(InvalidArgument, match="HOME"):
        environment(wishes.asking(envs=(("HOME", home),)))
    with pytest.raises(InvalidArgument, match="HOME"):
        environment(wishes.plain(image=ImageDefaults(env=(f"HOME={home}",))))


def test_a_literal_backslash_n_is_allowed_in_home() -> None:
    assert "HOME=/\\n" in environment(wishes.asking(envs=(("HOME", "/\\n"),)))


@pytest.mark.parametrize("key", ["", "A=B", "="])
def test_names_of_variables(key: str) -> None:
    with pytest.raises(InvalidArgument, match="not a variable name"):
        environment(wishes.asking(envs=((key, "v"),)))


@pytest.mark.parametrize(
    ("own", "image", "wanted"),
    [
        ("", "", "/"),
        ("", "/app", "/app"),
        ("", "app", "/app"),
        ("/a/../b/", "/app", "/b"),
        ("/proc/sys", "", "/proc/sys"),
    ],
)
def test_working_directory(own: str, image: str, wanted: str) -> None:
    assert working_directory(wishes.asking(working_dir=own).config, ImageDefaults(working_dir=image)) == wanted


@pytest.mark.parametrize(
    "path",
    [*(f"/proc/self/fd/{n}" for n in (3, 7, 40)), "/proc/1/fd/8", "/proc/thread-self/fd/9", "/dev/fd/7", "//dev/fd"],
)
def test_working_directory_is_no_descriptor_cve_2024_21626(path: str) -> None:
    with pytest.raises(InvalidArgument, match="open descriptor"):
        working_directory(wishes.asking(working_dir=path).config, ImageDefaults())
    with pytest.raises(InvalidArgument, match="open descriptor"):
        working_directory(wishes.plain().config, ImageDefaults(working_dir=path))


def test_working_directory_of_the_request_is_absolute() -> None:
    with pytest.raises(InvalidArgument, match="not an absolute path"):
        working_directory(wishes.asking(working_dir="app").config, ImageDefaults())


@pytest.mark.parametrize(
    ("wanted", "own", "capable", "given"),
    [
        (-998, 0, True, -998),
        (-998, 0, False, 0),
        (-998, -500, False, -500),
        (1000, 0, False, 1000),
        (5, 100, False, 100),
    ],
)
def test_oom_score_adj(wanted: int, own: int, capable: bool, given: int) -> None:
    held = frozenset(ALL) if capable else frozenset[str]()
    assert oom_score_adj(wanted, HostFacts(capabilities=held, oom_score_adj=own)) == given


@pytest.mark.parametrize("score", [-1001, 1001, 2**63 - 1])
def test_oom_score_adj_range(score: int) -> None:
    with pytest.raises(InvalidArgument, match="oom_score_adj"):
        process(wishes.asking(resources=LinuxResources(oom_score_adj=score)))


def test_who_it_is() -> None:
    wish = wishes.plain(user=ProcessUser(1, 2, (2, 3)), policy=Policy(umask=0o27))
    assert process(wish)["user"] == {"uid": 1, "gid": 2, "umask": 0o27, "additionalGids": [2, 3]}
    assert process(wishes.plain())["user"] == {"uid": 0, "gid": 0}


def test_limits_of_the_configuration() -> None:
    limits = (Rlimit("RLIMIT_NOFILE", 64, 128),)
    assert process(wishes.plain(policy=Policy(rlimits=limits)))["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}
    ]
    for wrong in (Rlimit("NOFILE", 1, 1), Rlimit("RLIMIT_NOFILE", 2, 1), Rlimit("RLIMIT_NOFILE", -1, 1)):
        with pytest.raises(InvalidArgument, match="rlimits"):
            process(wishes.plain(policy=Policy(rlimits=(wrong,))))


def test_exec_is_the_same_but_for_what_it_runs() -> None:
    wish = replace(wishes.secured(no_new_privs=True), user=ProcessUser(1, 2, (2,)))
    first = process(wish)
    first["capabilities"]["inheritable"] = ["CAP_CHOWN"]
    second = exec_process(first, ("ls", "-l"), tty=True)
    assert second["args"] == ["ls", "-l"]
    assert second["terminal"] is True
    assert "TERM=xterm" in second["env"]
    assert second["capabilities"]["inheritable"] == second["capabilities"]["ambient"] == []
    same = ("user", "cwd", "noNewPrivileges", "oomScoreAdj", "rlimits")
    assert {key: first[key] for key in same} == {key: second[key] for key in same}
    assert "TERM=xterm" not in first["env"]


def test_exec_keeps_a_terminal_type() -> None:
    first = process(wishes.asking(envs=(("TERM", "vt100"),)))
    assert [entry for entry in exec_process(first, ("ls",), tty=True)["env"] if "TERM" in entry] == ["TERM=vt100"]


@pytest.mark.parametrize("command", [(), ("",), ("a\0b",)])
def test_exec_of_nothing(command: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgument, match="^cmd"):
        exec_process(process(wishes.plain()), command, tty=False)
