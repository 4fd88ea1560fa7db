"""Log throughput of the monitor beside Debian's conmon, `hack/bench-logs`: the same container, writer and kind of pipe.

Needs root, runc, conmon and busybox-static. One line per kind of log line: bytes per second and monitor CPU seconds
per GB (10^9 bytes that the container wrote) of both, their ratios, and the monitor's largest memory while it ran.
Each is run ROUNDS times in turn and the best one of each counts, since other work on the machine only ever slows one
down.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from conmon.client import ContainerSpec, Zygote

CPUACCT = Path("/sys/fs/cgroup/cpuacct")
UNIFIED = Path("/sys/fs/cgroup")
KINDS = {"16 B lines": 16, "100 B lines": 100, "1 KiB lines": 1024, "64 KiB lines": 65536}
CHUNK = 64 * 1024 * 1024


@dataclass(frozen=True)
class Result:
    """One run: bytes per second, CPU seconds per 10^9 bytes, largest resident memory in KiB."""

    speed: float
    cpu: float
    memory: int


class Bench:
    """The bundle, the cgroup of the monitors and the directories of one benchmark."""

    def __init__(self, work: Path, megabytes: int) -> None:
        self.work, self.size = work, megabytes * 1_000_000
        self.v1 = CPUACCT.is_dir()
        self.cgroup = (CPUACCT if self.v1 else UNIFIED) / f"criserver-bench-logs-{os.getpid()}"
        self.cgroup.mkdir()
        self.runtime = ("/usr/sbin/runc", "--root", str(work / "runc"))
        self.count = 0

    def close(self) -> None:
        """Remove the cgroups."""
        for cgroup in Path("/sys/fs/cgroup").glob(f"**/criserver-bench-logs-{os.getpid()}*"):
            with contextlib.suppress(OSError):
                cgroup.rmdir()

    def bundle(self, length: int) -> tuple[str, Path]:
        """A container that writes *size* bytes in lines of *length* bytes, newline included, as fast as it can."""
        self.count += 1
        name = f"bench-{os.getpid()}-{self.count}"
        bundle = self.work / name
        (bundle / "rootfs/bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", bundle / "rootfs/bin/busybox")
        line = b"x" * (length - 1) + b"\n"
        (bundle / "rootfs/data").write_bytes((line * (CHUNK // length + 1))[:CHUNK])
        subprocess.run(["runc", "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        command = ["/bin/busybox", "cat", *["/data"] * (self.size // CHUNK)]
        config["process"].update(terminal=False, args=command)
        config["linux"]["cgroupsPath"] = f"/criserver-bench-logs-{os.getpid()}-containers/{name}"
        (bundle / "config.json").write_text(json.dumps(config))
        return name, bundle

    @asynccontextmanager
    async def home(self) -> AsyncIterator[Sequence[str]]:
        """The cgroup that the zygote and its monitors live in."""
        yield (str(self.cgroup / "cgroup.procs"),)

    def cpu_seconds(self) -> float:
        """CPU time that the monitors' cgroup has used."""
        if self.v1:
            return int((self.cgroup / "cpuacct.usage").read_text()) / 1e9
        return int((self.cgroup / "cpu.stat").read_text().split()[1]) / 1e6

    def measure(self, name: str, monitor: int, done: Path) -> Result:
        """Start container *name* and wait for *done*, the file that its monitor writes at its end."""
        written = self.size // CHUNK * CHUNK
        before, began, memory = self.cpu_seconds(), time.monotonic(), 0
        subprocess.run([*self.runtime, "start", name], check=True)
        while not done.exists():
            with contextlib.suppress(OSError, StopIteration):
                status = Path(f"/proc/{monitor}/status").read_text().splitlines()
                memory = max(memory, int(next(line for line in status if line.startswith("VmHWM")).split()[1]))
            time.sleep(0.002)
        seconds = time.monotonic() - began
        cpu = self.cpu_seconds() - before
        subprocess.run([*self.runtime, "delete", "--force", name], check=True)
        return Result(written / seconds, cpu / written * 1e9, memory)

    async def ours(self, length: int) -> Result:
        """One run under this project's monitor."""
        name, bundle = self.bundle(length)
        directory = self.work / f"{name}.monitor"
        directory.mkdir(mode=0o700)
        zygote = Zygote(self.work / "zygote", home=self.home)
        log = str(directory / "log")
        spec = ContainerSpec(id=name, directory=str(directory), bundle=str(bundle), runtime=self.runtime, log_path=log)
        state, _ = await zygote.create_container(spec)
        result = await asyncio.to_thread(self.measure, name, state.monitor_pid, directory / "exit.json")
        self.check(directory / "log", length)
        await zygote.quit()
        shutil.rmtree(directory)
        shutil.rmtree(bundle)
        return result

    async def theirs(self, length: int) -> Result:
        """One run under conmon."""
        name, bundle = self.bundle(length)
        exits, log, pid_file = bundle / "exits", bundle / "log", bundle / "conmon.pid"
        exits.mkdir()
        argv = ["/usr/bin/conmon", "-c", name, "-u", name, "-b", str(bundle), "-n", name, "-r", self.runtime[0]]
        argv += [f"--runtime-arg={flag}" for flag in self.runtime[1:]]
        argv += ["-p", str(bundle / "pid"), "-P", str(pid_file), "-l", f"k8s-file:{log}", "--exit-dir", str(exits)]
        argv += ["--socket-dir-path", str(bundle)]
        enter = f'echo $$ > {self.cgroup}/cgroup.procs; exec "$@"'
        await asyncio.to_thread(subprocess.run, ["sh", "-c", enter, "sh", *argv], check=True)
        async with asyncio.timeout(20):
            while not (bundle / "pid").exists():
                await asyncio.sleep(0.01)
        result = await asyncio.to_thread(self.measure, name, int(pid_file.read_text()), exits / name)
        self.check(log, length)
        shutil.rmtree(bundle)
        return result

    def check(self, log: Path, length: int) -> None:
        """The log holds every line: as many full ones as were written."""
        full = int(subprocess.run(["grep", "-c", " stdout F ", str(log)], capture_output=True, check=True).stdout)
        lines = self.size // CHUNK * (CHUNK // length)
        if full < lines:
            raise SystemExit(f"{log}: {full} full lines, {lines} were written")


async def main() -> None:
    """Run all kinds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=400, help="bytes that each container writes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="where logs and bundles go (default: a directory on /dev/shm)")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-logs-", dir=options.dir or "/dev/shm"))
    bench = Bench(work, options.megabytes)
    heads = ("MB/s", "conmon", "ratio", "CPU s/GB", "conmon", "ratio", "KiB", "conmon")
    print(" " * 14 + "".join(f"{head:>10}" for head in heads))
    try:
        for kind, length in KINDS.items():
            ours, theirs = [], []
            for _ in range(options.rounds):
                ours.append(await bench.ours(length))
                theirs.append(await bench.theirs(length))
            a, b = max(run.speed for run in ours) / 1e6, max(run.speed for run in theirs) / 1e6
            c, d = min(run.cpu for run in ours), min(run.cpu for run in theirs)
            memory = f"{max(run.memory for run in ours):10}{max(run.memory for run in theirs):10}"
            print(f"{kind:14}{a:10.0f}{b:10.0f}{a / b:10.2f}{c:10.2f}{d:10.2f}{c / d:10.2f}{memory}", flush=True)
    finally:
        shutil.rmtree(work)
        bench.close()


if __name__ == "__main__":
    asyncio.run(main())
