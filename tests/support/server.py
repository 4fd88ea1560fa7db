"""A real criserver as a process of its own: private root, state, socket, CNI network and configuration."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import yaml

from criserver.api.pb import api_pb2 as pb
from tests.support import packet_filter
from tests.support.machine import cgroup_driver, slowness

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0
CALL_SECONDS = 60.0 * slowness()


def conflist(name: str, bridge: str, subnet: str, ipam: Path, plugin: str = "bridge") -> dict[str, Any]:
    """A bridge network with host ports, its leases in a directory of the test's own; `plugin` stands for the bridge."""
    return {
        "cniVersion": "1.0.0",
        "name": name,
        "plugins": [
            {
                "type": plugin,
                "bridge": bridge,
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": subnet}]], "dataDir": str(ipam)},
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


@dataclass
class Server:
    """A server under `base`; `number` (0-99) makes its bridge and subnet its own.

    `config` is laid over the configuration that the harness needs; `plugin` stands for the bridge plugin; `wrapper` is
    a command that ends by executing the server, which it is given as arguments.
    """

    base: Path
    number: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    module: Sequence[str] = ("-m", "criserver")
    log_level: str = "debug"
    plugin: str = "bridge"
    wrapper: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        return self.base / "root"

    @property
    def state(self) -> Path:
        return self.base / "state"

    @property
    def socket(self) -> str:
        return f"unix://{self.base}/cri.sock"

    @property
    def bridge(self) -> str:
        return f"critest{self.number}"

    @property
    def subnet(self) -> str:
        """What its pods' addresses begin with; the gateway's ends in 1."""
        return f"10.231.{self.number}."

    @property
    def ipam(self) -> Path:
        return self.base / "ipam"

    @property
    def log(self) -> Path:
        return self.base / "server.log"

    @property
    def conf_dir(self) -> Path:
        return self.base / "net.d"

    def prepare(self) -> None:
        """Write configuration and CNI network."""
        self.conf_dir.mkdir(parents=True, exist_ok=True)
        # As those of /run: the root of a user namespace passes through, and pytest's directories are closed to others.
        for above in (self.base, *self.base.parents):
            if not above.stat().st_mode & 0o001:
                above.chmod(above.stat().st_mode | 0o011)
        network = conflist(self.bridge, self.bridge, f"{self.subnet}0/24", self.ipam, self.plugin)
        (self.conf_dir / "10-test.conflist").write_text(json.dumps(network))
        more = {
            "network": {"conf_dir": str(self.conf_dir), **self.config.get("network", {})},
            "runtime": {"cgroup_driver": cgroup_driver(), **self.config.get("runtime", {})},
        }
        (self.base / "config.yaml").write_text(yaml.safe_dump({**self.config, **more}))

    def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start and wait until the socket answers."""
        if not self.conf_dir.exists():
            self.prepare()
        argv = [
            *self.wrapper, sys.executable, *self.module, "serve", "--config", f"{self.base}/config.yaml",
            "--root", str(self.root), "--state", str(self.state), "--listen", self.socket,
            "--log-level", self.log_level,
        ]  # fmt: skip
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=PROJECT, env={**os.environ, **(env or {})}
            )
        self.wait_until(self.answers, START_SECONDS, "the socket to answer")

    def answers(self) -> bool:
        """Whether Version is answered; an early death is an error."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.tail()}")
        try:
            with self.client() as client:
                client("Version", pb.VersionRequest(), timeout=slowness())
        except grpc.RpcError:
            return False
        return True

    def kill9(self) -> None:
        """As a crash: no word of warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def reboot(self) -> None:
        """Take what a reboot takes: processes, mounts, cgroups, network, state directory. The server is dead before."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait_until(lambda: not self.processes(), 10, "processes to end")
        for target in reversed(self.mounts()):
            subprocess.run(["umount", "-l", target], check=True)
        for unit in self.units():
            subprocess.run(["systemctl", "stop", unit], check=False, capture_output=True)
        for cgroup in reversed(self.cgroups()):
            os.rmdir(cgroup)
        self.unplug()
        shutil.rmtree(self.state)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30 * slowness())

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A connection to the server."""
        with grpc.insecure_channel(self.socket, options=[("grpc.max_receive_message_length", 64 << 20)]) as channel:
            yield Client(channel)

    def wait_until(self, true: Callable[[], bool], seconds: float, what: str) -> None:
        """Poll until `true`."""
        deadline = time.monotonic() + seconds * slowness()
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:.0f} s in vain for {what}:\n{self.tail()}")
            time.sleep(0.02)

    def empty(self) -> None:
        """Remove every pod, through the CRI."""
        with self.client() as client:
            for item in client("ListPodSandbox", pb.ListPodSandboxRequest()).items:
                client("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=item.id))

    def destroy(self) -> None:
        """Stop the server and its zygote, whatever state they are in, and take its network away."""
        self.stop()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for target in reversed(self.mounts()):
            subprocess.run(["umount", "-l", target], check=False)
        self.unplug()

    def unplug(self) -> None:
        """Take the bridge and the packet filter's rules away."""
        subprocess.run(["ip", "link", "delete", self.bridge], check=False, capture_output=True)
        packet_filter.remove({self.subnet, *self.ids()})

    # What is left, of everything that a pod may take:

    def left(self) -> dict[str, list[str]]:
        """Everything that pods, containers and pulls may leave; empty lists when all is clean. Images are no dirt."""
        return {
            "mounts": self.mounts(),
            "processes": [f"{pid} {comm(pid)}" for pid in self.processes() if comm(pid) != "conmon-zygote"],
            "links": [path.name for path in Path(f"/sys/class/net/{self.bridge}/brif").glob("*")],
            "rules": self.rules(),
            "rows": self.rows(),
            "pulls": self.pulls(),
            "leases": [path.name for path in self.ipam.rglob("10.*")],
            "directories": [str(path) for part in ("sandboxes", "containers") for path in (self.state / part).glob("*")]
            + [str(path) for path in (self.root / "containers").glob("*")],
            "cni": [str(path) for path in (self.root / "cni").rglob("*") if path.is_file()],
            "cgroups": self.cgroups(),
            "units": self.units(),
            "runtime": [str(path) for path in (self.state / "runtime").glob("*/*")],
        }

    def mounts(self) -> list[str]:
        """Mount points below the server's directories, in its own mount namespace while it lives."""
        alive = self.process is not None and self.process.poll() is None
        owner = self.process.pid if self.process is not None and alive else "self"
        lines = Path(f"/proc/{owner}/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in lines if line.split()[4].startswith(str(self.base))]

    def processes(self) -> list[int]:
        """The zygote, monitors, pod inits and container processes of this server."""
        ids = self.ids()
        return sorted(
            int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._ours(entry, ids)
        )

    def rules(self) -> list[str]:
        """Packet filter rules that speak of its pods: masquerading and host ports."""
        return packet_filter.rules({self.subnet, *self.ids()})

    def rows(self) -> list[str]:
        """Rows of pods, containers, unfinished steps and image leases, looked at behind the server's back."""
        return [
            " ".join(map(str, row))
            for query in (
                "SELECT 'sandbox', id, state FROM sandboxes",
                "SELECT 'container', id, state FROM containers",
                "SELECT 'journal', operation, subject, step FROM journal",
                "SELECT 'lease', image_id, holder FROM image_leases",
            )
            for row in self._query(query)
        ]

    def pulls(self) -> list[str]:
        """Directories of pulls that run or were cut off, and layers without a row."""
        layers = {str(number) for (number,) in self._query("SELECT number FROM layers WHERE ready")}
        strays = [path for path in (self.root / "layers").glob("*") if path.name not in layers]
        return [str(path) for path in (*strays, *(self.root / "tmp").glob("*"))]

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        if not (self.root / "criserver.db").exists():
            return []
        connection = sqlite3.connect(f"file:{self.root}/criserver.db?mode=ro", uri=True)
        with contextlib.closing(connection):
            return connection.execute(query).fetchall()

    def cgroups(self) -> list[str]:
        """Cgroups of this server's pods."""
        found, ids = [], self.ids()
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            fields = line.split()
            if fields[fields.index("-") + 1] in ("cgroup", "cgroup2"):
                for directory, names, _ in os.walk(fields[4]):
                    found += [os.path.join(directory, name) for name in names if _speaks(name, ids)]
        return found

    def units(self) -> list[str]:
        """Slices and scopes of this server's pods that systemd knows, where it runs; failed ones too.

        Not its units for mounts, which come and go some time after the mounts that it sees.
        """
        if not os.path.isdir("/run/systemd/system"):
            return []
        listing = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--type=slice,scope,service"]
        lines = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.splitlines()
        ids = self.ids()
        return [line.split()[0] for line in lines if _speaks(line, ids)]

    def ids(self) -> set[str]:
        """Every id that this server's log speaks of."""
        words = self.log.read_text(errors="replace").replace("=", " ").split() if self.log.exists() else []
        return {word for word in words if len(word) == 64 and all(c in "0123456789abcdef" for c in word)}

    def _ours(self, entry: Path, ids: set[str]) -> bool:
        try:
            if self.process is not None and entry.name == str(self.process.pid):
                return False
            cgroups = (entry / "cgroup").read_text()
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return False
        return str(self.state) in command or _speaks(cgroups, ids)


def _speaks(text: str, ids: set[str]) -> bool:
    return any(part in text for part in ids)


def comm(pid: int) -> str:
    """The name of a process, "gone" without one."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"


class Client:
    """Calls RPCs by name."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def __call__(self, method: str, request: Any, *, timeout: float = CALL_SECONDS) -> Any:
        """The response; grpc.RpcError."""
        service = "ImageService" if "Image" in method else "RuntimeService"
        response = getattr(pb, f"{method}Response")
        call: Any = self._channel.unary_unary(
            f"/runtime.v1.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return call(request, timeout=timeout)
