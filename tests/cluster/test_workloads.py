"""Controllers and the order within a pod: what a kubelet starts, awaits and starts again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.cluster.kube import Kube, container_status, restarts
from tests.support.cluster.layout import Cluster
from tests.support.cluster.manifests import PAUSE, agn, container, job, pod, workload

pytestmark = pytest.mark.timeout(300)


@pytest.mark.first
def test_a_deployment_rolls_from_one_template_to_the_next(kube: Kube) -> None:
    kube.apply(workload("Deployment", "web", agn("main", "netexec"), replicas=3))
    kube("rollout", "status", "deployment/web", "--timeout=90s")
    kube("set", "env", "deployment/web", "GENERATION=2")
    kube("rollout", "status", "deployment/web", "--timeout=90s")
    pods = kube.until("pods?labelSelector=app%3Dweb", lambda found: len(found["items"]) == 3)["items"]
    assert all(restarts(item) == 0 for item in pods)
    assert kube.exec(pods[0]["metadata"]["name"], "sh", "-c", "echo $GENERATION") == "2\n"


def test_a_static_pod_comes_and_goes_with_its_file(kube: Kube, cluster: Cluster) -> None:
    node = cluster.nodes[0]
    manifest = pod("static", restartPolicy="Always")
    manifest["metadata"]["namespace"] = kube.namespace
    path, draft = node.manifests / f"{kube.namespace}.json", node.directory / "draft.json"
    draft.write_text(json.dumps(manifest))
    draft.rename(path)
    kube.until("pods", lambda found: [item for item in found["items"] if item["metadata"]["name"] == "static-node1"])
    kube.ready("static-node1")
    path.unlink()
    kube.until("pods", lambda found: not found["items"])


def test_a_daemon_set_is_on_every_node(kube: Kube, cluster: Cluster) -> None:
    kube.apply(workload("DaemonSet", "agent", container()))
    kube("rollout", "status", "daemonset/agent", "--timeout=90s")
    found = kube.api("pods?labelSelector=app%3Dagent")["items"]
    assert [item["spec"]["nodeName"] for item in found] == [node.name for node in cluster.nodes]


def test_a_job_tries_again_until_it_has_done_what_it_should(kube: Kube) -> None:
    kube.apply(job("sum", container("main", "echo 42"), completions=3, parallelism=2))
    kube.apply(job("bad", container("main", "exit 7"), backoffLimit=1))
    kube("wait", "--for=condition=Complete", "job/sum", "--timeout=90s")
    kube("wait", "--for=condition=Failed", "job/bad", "--timeout=90s")
    pods = kube.api("pods?labelSelector=job-name%3Dbad")["items"]
    assert {container_status(item)["state"]["terminated"]["exitCode"] for item in pods} == {7}
    assert kube.logs("job/sum") == "42\n"


def test_a_cron_job_makes_jobs(kube: Kube) -> None:
    template = {"spec": job("x", container("main", "true"))["spec"]}
    spec = {"schedule": "* * * * *", "jobTemplate": template}
    kube.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": spec})
    kube("create", "job", "now", "--from=cronjob/tick")
    kube("wait", "--for=condition=Complete", "job/now", "--timeout=90s")
    jobs = f"/apis/batch/v1/namespaces/{kube.namespace}/jobs"
    found = kube.until(jobs, lambda jobs: any(_scheduled(item) for item in jobs["items"]), 90)
    name = next(item["metadata"]["name"] for item in found["items"] if _scheduled(item))
    kube("wait", "--for=condition=Complete", f"job/{name}", "--timeout=60s")


def _scheduled(job: Any) -> bool:
    return bool(job["metadata"]["name"].startswith("tick-"))


def test_init_containers_run_one_after_the_other_before_the_rest(kube: Kube) -> None:
    shared = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    append = "echo {} >>/shared/order; sleep 0.3; echo {} ended >>/shared/order"
    kube.apply(
        pod(
            "ordered",
            container("main", "cat /shared/order", **shared),
            initContainers=[container(name, append.format(name, name), **shared) for name in ("one", "two")],
            volumes=[{"name": "shared", "emptyDir": {}}],
        )
    )
    kube.ended("ordered")
    assert kube.logs("ordered") == "one\none ended\ntwo\ntwo ended\n"


def test_an_init_container_that_fails_is_tried_again_and_holds_the_rest_back(kube: Kube) -> None:
    shared = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    init = container("init", "test -e /shared/tried || { touch /shared/tried; exit 3; }", **shared)
    volumes = [{"name": "shared", "emptyDir": {}}]
    main = container("main", "true")
    kube.apply(pod("stubborn", main, initContainers=[init], volumes=volumes, restartPolicy="OnFailure"))
    done = kube.ended("stubborn")
    assert done["status"]["phase"] == "Succeeded"
    assert container_status(done, "init", "initContainerStatuses")["restartCount"] == 1


@pytest.mark.first
def test_a_sidecar_lives_as_long_as_the_pod_and_ends_after_it(kube: Kube) -> None:
    shared = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    serve = "trap 'echo bye; exit 0' TERM; touch /shared/up; while :; do sleep 0.1; done"
    probe = {"exec": {"command": ["test", "-e", "/shared/up"]}, "periodSeconds": 1}
    sidecar = container("side", serve, restartPolicy="Always", startupProbe=probe, **shared)
    main = container("main", "test -e /shared/up && sleep 1 && echo done", **shared)
    volumes = [{"name": "shared", "emptyDir": {}}]
    kube.apply(pod("pair", main, initContainers=[sidecar], volumes=volumes, terminationGracePeriodSeconds=10))
    done = kube.ended("pair")
    assert done["status"]["phase"] == "Succeeded"
    assert container_status(done, "side", "initContainerStatuses")["state"]["terminated"]["exitCode"] == 0
    assert kube.logs("pair", "--container=side") == "bye\n"


def test_a_container_that_ends_is_started_again_ever_later(kube: Kube) -> None:
    kube.apply(pod("crash", container("main", "echo up; exit 9"), restartPolicy="Always"))
    found = kube.until("pods/crash", lambda item: restarts(item) >= 2, 90)
    assert container_status(found)["lastState"]["terminated"]["exitCode"] == 9
    waiting = kube.until("pods/crash", lambda item: "waiting" in container_status(item)["state"], 60)
    assert container_status(waiting)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert kube.logs("crash", "--previous") == "up\n"


def test_containers_of_a_pod_share_its_network_and_if_asked_its_processes(kube: Kube) -> None:
    speak = container("main", "until wget -qO- 127.0.0.1:8080/hostname 2>/dev/null; do sleep 0.2; done; ps -o args")
    kube.apply(pod("both", agn("server", "netexec", "--http-port=8080"), speak, shareProcessNamespace=True))
    kube.until("pods/both", lambda item: container_status(item).get("state", {}).get("terminated"))
    said = kube.logs("both", "--container=main")
    assert said.startswith("both") and "/agnhost netexec" in said


def test_a_stateful_set_keeps_names_and_order(kube: Kube) -> None:
    kube.apply(workload("StatefulSet", "db", container("main", f"hostname; {PAUSE}"), replicas=2))
    kube("rollout", "status", "statefulset/db", "--timeout=90s")
    assert [kube.logs(f"db-{n}") for n in range(2)] == ["db-0\n", "db-1\n"]
