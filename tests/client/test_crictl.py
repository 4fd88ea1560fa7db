"""crictl's verbs against a running server: what an operator types, and what must come back."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import cri
from tests.support.cri import BUSYBOX
from tests.support.crictl import Crictl, container, pod
from tests.support.images import file, image
from tests.support.registry import Registry
from tests.support.server import Server

ID = re.compile(r"[0-9a-f]{64}")


@pytest.fixture(scope="module", autouse=True)
def image_id(crictl: Crictl) -> str:
    """Busybox, pulled; its id."""
    crictl("pull", BUSYBOX)
    return str(crictl("inspecti", "-q", "-o", "go-template", "--template", "{{.status.id}}", BUSYBOX))


@pytest.fixture(scope="module")
def settled(crictl: Crictl, base: Path) -> Iterator[dict[str, str]]:
    """A pod that nobody changes, with a container that runs, one that is created and one that has ended."""
    logs = base / "settled"
    logs.mkdir()
    config = pod("settled", logs, labels={"app": "settled"}, annotations={"note": "of the pod"})
    ids = {"pod": crictl.runp(config)}
    for name, command in (("runs", "sleep 1000"), ("created", "true"), ("ended", "echo out; echo err >&2; exit 7")):
        wish = container(
            name,
            *("sh", "-c", command),
            image=BUSYBOX,
            labels={"app": "settled", "name": name, "io.kubernetes.pod.name": "settled"},  # crictl shows the pod's
            annotations={"note": name},
        )
        ids[name] = crictl.create(ids["pod"], wish, config, "--no-pull")
    crictl("start", ids["runs"], ids["ended"])
    until(lambda: state(crictl, ids["ended"]) == "CONTAINER_EXITED")
    yield ids
    crictl("rmp", "-f", ids["pod"])


def until(true: Callable[[], bool]) -> None:
    """Wait for something that happens by itself within seconds."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def state(crictl: Crictl, container_id: str) -> str:
    return str(crictl.json("inspect", container_id)["status"]["state"])


def listed(crictl: Crictl, *arguments: str) -> set[str]:
    """Ids that a listing shows."""
    return set(crictl(*arguments, "-q", "--no-trunc").split())


def test_version(crictl: Crictl) -> None:
    text = crictl("version")
    assert re.search(r"RuntimeName:\s+criserver", text)
    assert re.search(r"RuntimeApiVersion:\s+v1$", text, re.MULTILINE)


def test_info_says_that_the_node_is_ready(crictl: Crictl, server: Server) -> None:
    info = crictl.json("info")
    assert {each["type"]: each["status"] for each in info["status"]["conditions"]} == {
        "RuntimeReady": True,
        "NetworkReady": True,
    }
    assert "runc" in [handler.get("name") for handler in info["runtimeHandlers"]]
    assert info["config"]["network"]["conf_dir"] == str(server.conf_dir)


def test_runtime_config(crictl: Crictl) -> None:
    assert re.search("cgroup", crictl("runtime-config"), re.IGNORECASE)


def test_events(crictl: Crictl, server: Server, logs: Path) -> None:
    """What crictl prints of a pod's life: a JSON document per event, as they happen."""
    pod = text = ""
    with open(logs / "events", "wb") as out:
        watching = subprocess.Popen([*crictl.argv, "events", "-o", "json"], stdout=out, stderr=subprocess.STDOUT)
        try:
            with server.client() as client:
                # crictl does not say when it listens: pods come and go until it has heard of one.
                for number in range(20):
                    pod = cri.run(client, cri.pod_config(f"told-{number}", logs))
                    cri.remove_pod(client, pod)
                    if "CONTAINER_DELETED_EVENT" in (text := (logs / "events").read_text()):
                        break
        finally:
            watching.terminate()
            watching.wait(10)
    told = [line for line in text.splitlines() if "EVENT" in line]
    assert "CONTAINER_DELETED_EVENT" in told[-1]
    assert any(pod in line for line in text.splitlines())


def test_update_runtime_config(crictl: Crictl) -> None:
    crictl("update-runtime-config", "--pod-cidr", "10.1.2.0/24")


def test_pull_answers_the_image(crictl: Crictl, image_id: str) -> None:
    assert crictl("pull", BUSYBOX) == f"Image is up to date for {image_id}"


def test_pull_of_what_is_not_there(crictl: Crictl) -> None:
    assert "docker.io/library/nothing:1" in crictl.refused("pull", "docker.io/library/nothing:1")


def test_images(crictl: Crictl, image_id: str) -> None:
    (found,) = crictl.json("images")["images"]
    assert found["id"] == image_id
    assert found["repoTags"] == [BUSYBOX]
    assert int(found["size"]) > 1 << 20
    assert crictl("images", "-q", "--no-trunc", "busybox") == image_id


def test_inspecti(crictl: Crictl, image_id: str) -> None:
    shown = crictl.json("inspecti", image_id[7:19])
    assert shown["status"]["id"] == image_id
    assert shown["info"]["imageSpec"]["config"]["Cmd"] == ["sh"]


def test_imagefsinfo(crictl: Crictl, server: Server) -> None:
    (filesystem,) = crictl.json("imagefsinfo")["status"]["imageFilesystems"]
    assert filesystem["fsId"]["mountpoint"].startswith(str(server.root))
    assert int(filesystem["usedBytes"]["value"]) > 1 << 20


def test_rmi_refuses_an_image_in_use(crictl: Crictl, settled: dict[str, str], image_id: str) -> None:
    assert "in use" in crictl.refused("rmi", image_id)
    assert crictl("images", "-q", "--no-trunc") == image_id


def test_ps_shows_what_runs_and_with_a_everything(crictl: Crictl, settled: dict[str, str]) -> None:
    assert listed(crictl, "ps", "--label", "app=settled") == {settled["runs"]}
    assert listed(crictl, "ps", "-a", "--label", "app=settled") == {
        settled["runs"],
        settled["created"],
        settled["ended"],
    }
    row = crictl("ps", "-p", settled["pod"]).splitlines()[1]
    assert re.search(rf"^{settled['runs'][:13]}\s+\S+\s.*Running\s+runs\s+0\s+{settled['pod'][:13]}\s+settled", row)


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["--state", "Running"], {"runs"}),
        (["-a", "--state", "Created"], {"created"}),
        (["-a", "--state", "Exited"], {"ended"}),
        (["-a", "--state", "Unknown"], set()),
        (["-a", "--name", "^runs$"], {"runs"}),
        (["-a", "--label", "name=ended"], {"ended"}),
        (["-a", "--label", "name=ended", "--label", "app=other"], set()),
        (["-a", "--image", BUSYBOX], {"runs", "created", "ended"}),
        (["-a", "--id", "{created}"], {"created"}),
        (["-a", "-p", "{pod}"], {"runs", "created", "ended"}),
        (["-a", "-p", "0123456789ab"], set()),
    ],
    ids=" ".join,
)
def test_ps_filters(crictl: Crictl, settled: dict[str, str], flags: list[str], names: set[str]) -> None:
    wanted = [flag.format(**settled) for flag in flags]
    assert listed(crictl, "ps", *wanted) == {settled[name] for name in names}


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (["--state", "Ready"], True),
        (["--state", "NotReady"], False),
        (["--label", "app=settled"], True),
        (["--label", "app=other"], False),
        (["--name", "^settled$"], True),
        (["--name", "other"], False),
        (["--namespace", "default"], True),
        (["--id", "{pod}"], True),
        (["--id", "0123456789ab"], False),
    ],
    ids=lambda each: str(each) if isinstance(each, bool) else " ".join(each),
)
def test_pods_filters(crictl: Crictl, settled: dict[str, str], flags: list[str], found: bool) -> None:
    wanted = [flag.format(**settled) for flag in flags]
    assert listed(crictl, "pods", *wanted) == ({settled["pod"]} if found else set())


def test_pods_shows_a_table(crictl: Crictl, settled: dict[str, str]) -> None:
    row = crictl("pods", "--name", "settled").splitlines()[1]
    assert re.search(rf"^{settled['pod'][:13]}\s.*Ready\s+settled\s+default\s+0\s", row)


def test_inspectp(crictl: Crictl, settled: dict[str, str], server: Server) -> None:
    shown = crictl.json("inspectp", settled["pod"][:12])
    status = shown["status"]
    assert status["id"] == settled["pod"]
    assert status["state"] == "SANDBOX_READY"
    assert status["metadata"] == {"attempt": 0, "name": "settled", "namespace": "default", "uid": "uid-settled"}
    assert status["network"]["ip"].startswith(server.subnet)
    assert status["labels"] == {"app": "settled"}
    assert status["annotations"] == {"note": "of the pod"}
    assert status["runtimeHandler"] == "runc"
    assert int(shown["info"]["pid"]) > 0, "the pod shares a PID namespace: its init"


def test_inspect(crictl: Crictl, settled: dict[str, str], image_id: str, base: Path) -> None:
    shown = crictl.json("inspect", settled["runs"])
    status, info = shown["status"], shown["info"]
    assert status["state"] == "CONTAINER_RUNNING"
    assert status["metadata"] == {"attempt": 0, "name": "runs"}
    assert status["labels"]["name"] == "runs"
    assert status["annotations"] == {"note": "runs"}
    assert status["image"]["image"] == BUSYBOX
    assert status["imageId"] == image_id
    assert status["logPath"] == str(base / "settled/runs.log")
    assert info["runtimeSpec"]["process"]["args"] == ["sh", "-c", "sleep 1000"]
    assert b"sleep" in Path(f"/proc/{info['pid']}/cmdline").read_bytes()


def test_inspect_of_an_ended_container(crictl: Crictl, settled: dict[str, str]) -> None:
    status = crictl.json("inspect", settled["ended"])["status"]
    assert (status["state"], status["exitCode"], status["reason"]) == ("CONTAINER_EXITED", 7, "Error")
    assert status["createdAt"] <= status["startedAt"] <= status["finishedAt"]


def test_inspect_of_what_is_not_there(crictl: Crictl) -> None:
    assert "container \"0123456789ab\" does not exist" in crictl.refused("inspect", "0123456789ab").replace("'", '"')


def test_logs(crictl: Crictl, settled: dict[str, str], base: Path) -> None:
    done = crictl.run("logs", settled["ended"])
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert re.fullmatch(
        r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) (stdout F out|stderr F err)\n){2}",
        (base / "settled/ended.log").read_text(),
    )


def test_logs_follow_ends_with_the_container(crictl: Crictl, logs: Path) -> None:
    config = pod("follow", logs)
    pod_id = crictl.runp(config)
    script = "for n in 1 2 3; do echo line $n; sleep 0.3; done; exit 3"
    container_id = crictl.create(pod_id, container("talks", "sh", "-c", script, image=BUSYBOX), config)
    crictl("start", container_id)
    following = crictl.start("logs", "-f", container_id)
    output, _ = following.communicate(timeout=30)
    assert following.returncode == 0
    assert output == "line 1\nline 2\nline 3\n"
    assert crictl("logs", "--tail", "1", container_id) == "line 3"
    crictl("rmp", "-f", pod_id)


def test_logs_reopen_after_a_rotation(crictl: Crictl, logs: Path) -> None:
    config = pod("rotated", logs)
    pod_id = crictl.runp(config)
    script = "while :; do echo line; sleep 0.1; done"
    container_id = crictl.create(pod_id, container("talks", "sh", "-c", script, image=BUSYBOX), config)
    crictl("start", container_id)
    log = logs / "talks.log"
    until(lambda: "line" in log.read_text())
    log.rename(logs / "talks.log.1")
    crictl("logs", "--reopen", "--tail", "1", container_id)
    until(lambda: log.exists() and "line" in log.read_text())
    crictl("rmp", "-f", pod_id)


def test_exec_sync(crictl: Crictl, settled: dict[str, str]) -> None:
    assert crictl("exec", "-s", settled["runs"], "sh", "-c", "echo out; echo err >&2").split() == ["out", "err"]


def test_exec_sync_fails_with_the_command(crictl: Crictl, settled: dict[str, str]) -> None:
    assert "exited with 5" in crictl.refused("exec", "-s", settled["runs"], "sh", "-c", "exit 5")


def test_exec_sync_timeout(crictl: Crictl, settled: dict[str, str]) -> None:
    words = crictl.refused("exec", "-s", "--timeout", "1", settled["runs"], "sleep", "77.5")
    assert "DeadlineExceeded" in words
    assert "timed out after 1 s" in words
    processes = crictl("exec", "-s", settled["runs"], "ps")
    assert "sleep 77.5" not in processes, "at the deadline everything that the exec started is dead"


def test_exec_sync_needs_a_running_container(crictl: Crictl, settled: dict[str, str]) -> None:
    assert "only in a running one" in crictl.refused("exec", "-s", settled["ended"], "true")


def test_a_whole_life(crictl: Crictl, logs: Path) -> None:
    config = pod("life", logs)
    pod_id = crictl.runp(config, "--runtime", "runc")
    assert ID.fullmatch(pod_id)
    wish = container("main", "sh", "-c", "trap '' TERM; sleep 1000", image=BUSYBOX)
    container_id = crictl.create(pod_id, wish, config, "--with-pull")
    assert state(crictl, container_id) == "CONTAINER_CREATED"
    crictl("start", container_id)
    assert state(crictl, container_id) == "CONTAINER_RUNNING"
    assert "is running" in crictl.refused("rm", container_id)  # crictl's own care, not the server's
    crictl("stop", "--timeout", "1", container_id)
    status = crictl.json("inspect", container_id)["status"]
    assert (status["state"], status["exitCode"]) == ("CONTAINER_EXITED", 137)
    crictl("stop", container_id)
    crictl("rm", container_id)
    assert "does not exist" in crictl.refused("inspect", container_id)
    crictl("stopp", pod_id)
    assert crictl.json("inspectp", pod_id)["status"]["state"] == "SANDBOX_NOTREADY"
    crictl("stopp", pod_id)
    crictl("rmp", pod_id)
    assert "does not exist" in crictl.refused("inspectp", pod_id)


def test_run_does_it_all_at_once(crictl: Crictl, logs: Path) -> None:
    config = pod("oneshot", logs)
    wish = container("main", "sh", "-c", "echo done", image=BUSYBOX)
    container_id = crictl("run", "--with-pull", crictl.file(wish), crictl.file(config))
    until(lambda: state(crictl, container_id) == "CONTAINER_EXITED")
    assert crictl("logs", container_id) == "done"
    pods = crictl("pods", "-q", "--name", "oneshot")
    crictl("rm", container_id)
    crictl("rmp", "-f", pods)


def test_a_restart_is_another_attempt(crictl: Crictl, logs: Path) -> None:
    config = pod("restarts", logs, attempt=2)
    pod_id = crictl.runp(config)
    made: list[Any] = []
    for attempt in (0, 1):
        wish = container("main", "false", image=BUSYBOX, attempt=attempt, log_path=f"main/{attempt}.log")
        (logs / "main").mkdir(exist_ok=True)
        made.append(crictl.create(pod_id, wish, config))
        crictl("start", made[-1])
        until(lambda: state(crictl, made[-1]) == "CONTAINER_EXITED")
    shown = crictl.json("ps", "-a", "-p", pod_id)["containers"]
    assert sorted((each["metadata"]["attempt"], each["id"]) for each in shown) == list(enumerate(made))
    assert crictl.json("inspectp", pod_id)["status"]["metadata"]["attempt"] == 2
    crictl("rmp", "-f", pod_id)


def test_stop_sends_the_stop_signal_and_waits(crictl: Crictl, logs: Path) -> None:
    config = pod("graceful", logs)
    pod_id = crictl.runp(config)
    script = "trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    container_id = crictl.create(pod_id, container("main", "sh", "-c", script, image=BUSYBOX), config)
    crictl("start", container_id)
    until(lambda: crictl("logs", container_id) == "ready")
    crictl("stop", "--timeout", "20", container_id)
    assert crictl("logs", container_id) == "ready\nasked"
    assert crictl.json("inspect", container_id)["status"]["exitCode"] == 9
    crictl("rmp", "-f", pod_id)


def test_rmi_removes(crictl: Crictl, registry: Registry) -> None:
    registry.push("small", image({"hello": file("hello\n")}), "1")
    crictl("pull", "registry.k8s.io/small:1")
    assert "small" in crictl("images")
    crictl("rmi", "registry.k8s.io/small:1")
    assert "small" not in crictl("images")
