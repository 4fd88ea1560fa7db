"""``python -m conmon``: the monitor alone, without any daemon; for trying it out and for looking at a host by hand.

Thin: every command is a few calls of ``client``. Containers live in BASE/ID, the zygote in BASE.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

from conmon import protocol
from conmon.client import Attach, ConmonError, ContainerSpec, ExecSpec, Monitor, Zygote
from conmon.records import read_state


async def run(options: argparse.Namespace) -> int:
    """Create and start a container from a bundle; wait for its end unless told to leave it."""
    directory = options.base / options.id
    directory.mkdir(mode=0o700)
    try:
        spec = ContainerSpec(
            id=options.id,
            directory=str(directory),
            bundle=str(options.bundle.absolute()),
            runtime=_runtime(options),
            log_path=str(options.log.absolute()) if options.log else "",
            terminal=options.tty,
            stdin=options.stdin,
        )
        state, monitor = await Zygote(options.base).create_container(spec)
    except BaseException:
        shutil.rmtree(directory)
        raise
    print(f"{options.id}: pid {state.pid}, monitor {state.monitor_pid}", file=sys.stderr)
    await _call(*_runtime(options), "start", options.id)
    if options.detach:
        return 0
    ended = await monitor.wait()
    await _call(*_runtime(options), "delete", options.id)
    shutil.rmtree(directory)
    return ended.exit_code


async def ps(options: argparse.Namespace) -> int:
    """One line per container: id, pid, running or its exit."""
    for directory in sorted(options.base.glob("*/")):
        if read_state(directory) is None:
            continue
        try:
            state, ended = await Monitor(directory).state()
            print(state.id, state.pid, f"exited {ended.exit_code}" if ended else "running", sep="\t")
        except ConmonError as error:
            print(directory.name, "-", f"lost: {error}", sep="\t")
    return 0


async def state(options: argparse.Namespace) -> int:
    """The state and exit records of one container as JSON."""
    record, ended = await Monitor(options.base / options.id).state()
    print(json.dumps({**dataclasses.asdict(record), "exit": ended and dataclasses.asdict(ended)}, indent=2))
    return 0


async def attach(options: argparse.Namespace) -> int:
    """Show a container's output until it ends; feed it this command's stdin."""
    stream = await Monitor(options.base / options.id).attach(stdin=True)
    feeder = asyncio.create_task(_feed(stream))
    while item := await stream.read():
        out = sys.stdout.buffer if item[0] == protocol.STDOUT else sys.stderr.buffer
        out.write(item[1])
        out.flush()
    feeder.cancel()
    return 0


async def execute(options: argparse.Namespace) -> int:
    """Run a command in a container on this command's own stdio; its exit code is this command's."""
    directory = options.base / options.id
    process = directory / f"process-{os.getpid()}.json"
    environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    process.write_text(
        json.dumps({"args": options.command, "cwd": "/", "env": environment, "user": {"uid": 0, "gid": 0}})
    )
    try:
        spec = ExecSpec(
            id=options.id,
            exec_id=f"cli-{os.getpid()}",
            directory=str(directory),
            runtime=_runtime(options),
            process=str(process),
        )
        return await (await Zygote(options.base).exec(spec, (0, 1, 2))).wait()
    finally:
        process.unlink()


async def _feed(stream: Attach) -> None:
    while data := await asyncio.to_thread(os.read, 0, 4096):
        await stream.write(data)
    await stream.write_eof()


def _runtime(options: argparse.Namespace) -> tuple[str, ...]:
    """The runtime's argv prefix; its state lives below BASE, apart from any other user's of the runtime."""
    program = shutil.which(options.runtime) or options.runtime
    return (program, "--root", str(options.base / "runtime"))


async def _call(*argv: str) -> None:
    program = await asyncio.create_subprocess_exec(*argv)
    if await program.wait():
        raise ConmonError(f"{' '.join(argv)} failed with exit code {program.returncode}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m conmon", description="Run and look at containers through conmon.")
    top.add_argument("--base", type=Path, default=Path("/run/conmon-py"), help="directory of zygote and containers")
    top.add_argument("--runtime", default="runc", help="OCI runtime, a name in PATH or a path")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, call in (("run", run), ("ps", ps), ("state", state), ("attach", attach), ("exec", execute)):
        command = commands.add_parser(name, help=(call.__doc__ or "").splitlines()[0])
        command.set_defaults(call=call)
        if name != "ps":
            command.add_argument("id")
        if name == "run":
            command.add_argument("bundle", type=Path)
            command.add_argument("--log", type=Path, help="CRI log file")
            command.add_argument("--tty", action="store_true", help="config.json says process.terminal")
            command.add_argument("--stdin", action="store_true", help="give the container a stdin to attach to")
            command.add_argument("--detach", action="store_true", help="do not wait for its end")
        if name == "exec":
            command.add_argument("command", nargs="+")
    return top


def main() -> int:
    """Parse argv, run the command, return its exit status."""
    options = parser().parse_args()
    options.base = options.base.absolute()
    options.base.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        result: int = asyncio.run(options.call(options))
        return result
    except (ConmonError, OSError) as error:
        print(f"conmon: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
