from __future__ import annotations

from criserver.cli import doctor
from criserver.doctor.examination import Topic
from criserver.doctor.finding import error, note, ok, warning

TOPICS = (
    Topic("kernel", (ok("Linux 6.1"), note("old overlay", "no user namespaces"))),
    Topic("network", (error("no plugins", "pods get no network", "apt install x"), warning("w", "m", "f"))),
)


def test_for_people() -> None:
    assert list(doctor.lines(TOPICS, colour=False)) == [
        "kernel",
        "  ✓ Linux 6.1",
        "  · old overlay",
        "    no user namespaces",
        "network",
        "  ✗ no plugins",
        "    pods get no network",
        "    → apt install x",
        "  ! w",
        "    m",
        "    → f",
        "",
        "Pods cannot run here yet: one thing to mend first (✗).",
    ]


def test_long_words_are_wrapped_and_commands_are_not() -> None:
    told = list(doctor.lines([Topic("t", (error("word " * 60, "word " * 60, "run " * 60),))], colour=False))
    assert all(len(line) <= doctor.WIDTH + 4 for line in told if "→" not in line)
    assert len([line for line in told if "→" in line]) == 1, "a command is copied as one line"


def test_colours() -> None:
    assert "\x1b[31m✗\x1b[0m no plugins" in "\n".join(doctor.lines(TOPICS, colour=True))


def test_nothing_to_mend() -> None:
    assert list(doctor.lines(TOPICS[:1], colour=False))[-1] == "Pods can run here."
    some = [Topic("t", (warning("w", "m", "f"),))]
    assert list(doctor.lines(some, colour=False))[-1] == "Pods can run here; one thing will break some of them (!)."


def test_for_programs() -> None:
    document = doctor.document(TOPICS, can_run=False)
    assert document["podsCanRun"] is False
    assert document["findings"][2] == {
        "topic": "network",
        "severity": "error",
        "what": "no plugins",
        "meaning": "pods get no network",
        "fix": "apt install x",
    }
