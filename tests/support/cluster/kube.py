"""kubectl and the API, in one namespace of a cluster, as tests want them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.cluster import control_plane, programs
from tests.support.cluster.layout import Cluster

Object = Mapping[str, Any]
SECONDS = 90.0


@dataclass(frozen=True)
class Kube:
    """One namespace."""

    cluster: Cluster
    namespace: str

    def command(self, *arguments: str) -> list[str]:
        """A kubectl command line, for tests that talk with it."""
        kubeconfig = f"--kubeconfig={self.cluster.kubeconfig}"
        return [programs.path("kubectl"), kubeconfig, f"--namespace={self.namespace}", *arguments]

    def run(
        self, *arguments: str, given: str = "", seconds: float = SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """kubectl, whatever its exit code; `given` is its input."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False, timeout=seconds, input=given
        )

    def __call__(self, *arguments: str, given: str = "", seconds: float = SECONDS) -> str:
        """What kubectl prints; AssertionError with its words when it fails."""
        done = self.run(*arguments, given=given, seconds=seconds)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def apply(self, *objects: Object) -> None:
        """Create or change them."""
        self("apply", "--filename=-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def api(self, path: str) -> Any:
        """GET below the namespace: "pods/NAME"; a path with a leading slash is the API server's own."""
        return control_plane.get(self.cluster, path if path[0] == "/" else f"{self._core}/{path}")

    def pod(self, name: str) -> Any:
        """The pod as the API has it."""
        return self.api(f"pods/{name}")

    def delete(self, *what: str) -> None:
        """Delete and wait until it is gone: ("pod", NAME) or ("pod", "--all")."""
        self("delete", *what, "--wait=true", "--ignore-not-found")

    def until(self, path: str, true: Callable[[Any], object], seconds: float = SECONDS) -> Any:
        """Poll an object until `true` of it; returns the object. AssertionError tells its status and its events."""
        deadline = time.monotonic() + seconds
        while not true(found := self.api(path)):
            assert time.monotonic() < deadline, f"{path} in vain for {seconds:.0f} s: {self.explain(found)}"
            time.sleep(0.2)
        return found

    def ready(self, *pods: str, seconds: float = SECONDS) -> None:
        """Wait until these pods are Ready."""
        for name in pods:
            self.until(f"pods/{name}", is_ready, seconds)

    def ended(self, name: str, seconds: float = SECONDS) -> Any:
        """Wait until the pod has come to its end; returns it."""
        return self.until(f"pods/{name}", lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"), seconds)

    def logs(self, name: str, *more: str) -> str:
        """What the pod's container wrote."""
        return self("logs", name, *more)

    def exec(self, name: str, *command: str, container: str = "") -> str:
        """What a command in the pod prints."""
        return self("exec", name, *([f"--container={container}"] if container else []), "--", *command)

    def events(self, name: str) -> list[str]:
        """ "Reason: message" of each of the object's events."""
        items = self.api(f"events?fieldSelector=involvedObject.name%3D{name}")["items"]
        return [f"{item['reason']}: {item['message']}" for item in items]

    def explain(self, found: Any) -> str:
        """Why an object may not be what is waited for."""
        name = found["metadata"].get("name", "")
        return f"{json.dumps(found.get('status'))}\n" + "\n".join(self.events(name) if name else [])

    @property
    def _core(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"


def is_ready(pod: Any) -> bool:
    """Whether a pod's condition Ready is true."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def container_status(pod: Any, name: str = "main", kind: str = "containerStatuses") -> Any:
    """The status of one container; {} while there is none."""
    return next((status for status in pod["status"].get(kind, ()) if status["name"] == name), {})


def restarts(pod: Any, name: str = "main") -> int:
    """How often the container was started again."""
    return int(container_status(pod, name).get("restartCount", 0))
