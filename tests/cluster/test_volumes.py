"""Volumes of every kind that needs no driver, and what a pod is told of itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cluster.kube import Kube
from tests.support.cluster.layout import Cluster
from tests.support.cluster.manifests import AGNHOST, config_map, container, pod, secret

pytestmark = pytest.mark.timeout(300)


def _mounted(name: str, source: dict[str, Any], script: str, **mount: Any) -> dict[str, Any]:
    """A pod that runs a script with a volume at /v; what goes wrong is not in its log."""
    mounts = [{"name": "v", "mountPath": "/v", **mount}]
    main = container("main", f"exec 2>/dev/null; {script}", volumeMounts=mounts)
    return pod(name, main, volumes=[{"name": "v", **source}])


def _said(kube: Kube, manifest: dict[str, Any]) -> str:
    name = manifest["metadata"]["name"]
    kube.apply(manifest)
    done = kube.ended(name)
    said = kube.logs(name)
    assert done["status"]["phase"] == "Succeeded", said
    return said


@pytest.mark.first
def test_an_empty_directory_is_shared_by_containers_and_may_be_memory(kube: Kube) -> None:
    memory = {"emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}
    script = "grep ' /v ' /proc/mounts; df -k /v | tail -1; echo x >/v/x && cat /v/x"
    said = _said(kube, _mounted("memory", memory, script))
    assert "tmpfs" in said and " 8192 " in said and said.endswith("x\n")
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    writer = container("writer", "echo from writer >/v/new; mv /v/new /v/note", **mounts)
    reader = container("main", "until cat /v/note; do sleep 0.1; done 2>/dev/null", **mounts)
    kube.apply(pod("two", reader, writer, volumes=[{"name": "v", "emptyDir": {}}]))
    kube.ended("two")
    assert kube.logs("two", "--container=main") == "from writer\n"


def test_configuration_and_secrets_are_files_and_variables(kube: Kube) -> None:
    kube.apply(config_map("settings", colour="blue"), secret("keys", password="s3cret"))
    script = "cat /v/colour; echo; echo x >/v/colour || echo read-only"
    assert _said(kube, _mounted("files", {"configMap": {"name": "settings"}}, script)) == "blue\nread-only\n"
    script = "grep -c ' /v tmpfs' /proc/mounts; ls -lL /v/password | cut -c1-10; cat /v/password"
    volume = {"secret": {"secretName": "keys", "defaultMode": 0o400}}
    assert _said(kube, _mounted("hidden", volume, script)) == "1\n-r--------\ns3cret\n"
    sources = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}]
    main = container("main", "echo $colour $password", envFrom=sources)
    assert _said(kube, pod("variables", main)) == "blue s3cret\n"


def test_a_changed_config_map_arrives_in_a_running_container(kube: Kube) -> None:
    kube.apply(config_map("settings", colour="blue"))
    script = "until grep red /v/colour; do sleep 0.5; done"
    kube.apply(_mounted("watching", {"configMap": {"name": "settings"}}, script))
    kube.ready("watching")
    kube.apply(config_map("settings", colour="red"))
    kube("annotate", "pod", "watching", "touched=now")  # the kubelet looks at once instead of within a minute
    kube.ended("watching", 150)
    assert kube.logs("watching") == "red\n"


def test_projected_volumes_hold_tokens_and_what_the_pod_is(kube: Kube) -> None:
    kube.apply(config_map("settings", colour="blue"))
    field = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    sources = [
        {"configMap": {"name": "settings"}},
        {"downwardAPI": {"items": [field]}},
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
    ]
    script = "cat /v/colour; echo; cat /v/labels; echo; cut -c1-3 /v/token"
    manifest = _mounted("all", {"projected": {"sources": sources}}, script)
    manifest["metadata"]["labels"] = {"team": "red"}
    assert _said(kube, manifest) == 'blue\nteam="red"\neyJ\n'


def test_a_pod_is_told_what_it_is(kube: Kube, cluster: Cluster) -> None:
    fields = {"NAME": "metadata.name", "IP": "status.podIP", "NODE": "spec.nodeName", "HOST": "status.hostIP"}
    env = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()]
    env += [{"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}}]
    main = container("main", "echo $NAME $NODE $HOST $LIMIT; hostname -i; echo $IP", env=env)
    main["resources"] = {"limits": {"memory": "64Mi"}}
    name, address, told = _said(kube, pod("self", main)).splitlines()
    assert name == f"self node1 {cluster.nodes[0].address} 64"
    assert address == told


def test_paths_of_the_host_are_mounted(kube: Kube, cluster: Cluster) -> None:
    place = cluster.nodes[0].directory / "shared"
    volume = {"hostPath": {"path": str(place), "type": "DirectoryOrCreate"}}
    _said(kube, _mounted("host", volume, "echo from the pod >/v/note"))
    assert (place / "note").read_text() == "from the pod\n"
    assert "read-only" in _said(kube, _mounted("reader", volume, "echo x >/v/note || echo read-only", readOnly=True))


def test_mounts_of_a_bidirectional_volume_reach_other_pods(kube: Kube, cluster: Cluster) -> None:
    volume = {"hostPath": {"path": str(cluster.nodes[0].directory / "spread"), "type": "DirectoryOrCreate"}}
    script = "mkdir -p /v/m; mount -t tmpfs none /v/m; echo here >/v/m/file; "
    script += "trap 'umount /v/m; exit' TERM; sleep 60 & wait"
    maker = _mounted("maker", volume, script, mountPropagation="Bidirectional")
    maker["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    kube.apply(maker)
    kube.ready("maker")
    script = "until cat /v/m/file; do sleep 0.2; done"
    watcher = _mounted("watcher", volume, script, mountPropagation="HostToContainer")
    assert _said(kube, watcher) == "here\n"
    kube.delete("pod", "maker")


def test_a_part_of_a_volume_is_mounted(kube: Kube) -> None:
    kube.apply(config_map("settings", colour="blue", shape="round"))
    volume = {"configMap": {"name": "settings"}}
    assert _said(kube, _mounted("part", volume, "cat /v", subPath="colour")) == "blue\n"
    manifest = _mounted("named", {"emptyDir": {}}, "echo x >/v/x; ls /v", subPathExpr="logs-$(POD)")
    manifest["spec"]["containers"][0]["env"] = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    ]
    assert _said(kube, manifest) == "x\n"


@pytest.mark.first
def test_an_image_is_a_volume(kube: Kube) -> None:
    volume = {"image": {"reference": AGNHOST, "pullPolicy": "IfNotPresent"}}
    script = "ls /v; touch /v/x || echo read-only"
    said = _said(kube, _mounted("artifact", volume, script)).split()
    assert {"agnhost", "bin"} < set(said) and said[-1] == "read-only"
    part = _mounted("part", volume, "test -x /v/busybox && ls /agnhost || echo only that", subPath="bin")
    assert _said(kube, part) == "only that\n"


def test_files_of_the_root_are_gone_with_the_container_and_read_only_if_asked(kube: Kube) -> None:
    main = container("main", "touch /x 2>/dev/null || echo no", securityContext={"readOnlyRootFilesystem": True})
    assert _said(kube, pod("sealed", main)) == "no\n"
    context = {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000, "supplementalGroups": [4000]}
    manifest = _mounted("who", {"emptyDir": {}}, "id; ls -ldn /v | cut -c1-11; touch /v/x; ls -n /v/x")
    manifest["spec"]["securityContext"] = context
    said = _said(kube, manifest)
    assert "uid=1000 gid=3000" in said and all(group in said for group in ("2000", "4000")), said
    assert "drwxrwsrwx" in said and " 1000 " in said, said
