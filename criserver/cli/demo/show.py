"""The script of the demo: the steps in their order, and for each what takes it away again."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from types import FrameType

import grpc

import criserver
from criserver.api.pb import api_pb2 as cri
from criserver.cli import load, settings
from criserver.cli.client import Client, errors
from criserver.cli.demo import archive, leftovers, network, pod
from criserver.cli.demo.server import DemoServer, answers
from criserver.cli.demo.terminal import Terminal
from criserver.config.schema import Config
from criserver.errors import CriError, FailedPrecondition

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(args: argparse.Namespace) -> int:
    """The whole demo; 1 when a step failed or something could not be taken away."""
    terminal = Terminal()
    config = settings.configuration(args)
    if answers(config):
        return _already_running(terminal, config)
    if os.geteuid() != 0:
        raise FailedPrecondition("pods need root: run this as root")
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    left: list[str] = []
    code = 0
    with ExitStack() as undo:
        try:
            _show(terminal, config, undo, left, wait=not args.once)
        except KeyboardInterrupt:
            pass
        except (CriError, OSError, grpc.RpcError) as error:
            terminal.say(f"\n  {_words(error)}")
            code = 1
        _ignore_signals()
        terminal.title("Taking it all away")
    for thing in left:
        terminal.say(f"  left: {thing}")
    return 1 if left else code


def _show(terminal: Terminal, config: Config, undo: ExitStack, left: list[str], *, wait: bool) -> None:
    began = time.monotonic()
    terminal.title(f"criserver {criserver.__version__}: a pod from nothing, step by step")
    directory = tempfile.mkdtemp(prefix="criserver-demo-")
    undo.callback(shutil.rmtree, directory, ignore_errors=True)
    server, client = _start(terminal, config, directory, undo, left)
    with errors():
        _load(terminal, server, client, directory, undo)
        demo = _run_pod(terminal, server, client, directory, undo)
        with terminal.step("page", f"GET http://{demo.ip}/ over the pod network") as step:
            step.notes = [demo.page()]
            step.text = f"http://{demo.ip}/ answers over the pod network"
        terminal.say(f"\n  A pod runs, {time.monotonic() - began:.1f} s after the start.\n")
        terminal.table(pod.listing(client))
        terminal.block("its log, as the kubelet finds it", demo.log())
        terminal.block("exec: ps", demo.exec("ps"))
        terminal.block("exec: ip -4 addr show eth0", demo.exec("ip", "-4", "addr", "show", "eth0"))
    if wait:
        _tell_ways_in(terminal, config, demo)
        _wait(terminal, server)


def _start(
    terminal: Terminal, config: Config, directory: str, undo: ExitStack, left: list[str]
) -> tuple[DemoServer, Client]:
    undo.callback(leftovers.remove, leftovers.absent(config), left)
    undo.callback(leftovers.report_processes, config, left)
    with terminal.step("network", "looking for a CNI configuration") as step:
        if network.is_configured(config.network.conf_dir):
            step.text = f"configured in {config.network.conf_dir}"
        else:
            undo.callback(network.HostNetwork().restore)
            step.text = f"nothing in {config.network.conf_dir}: the server's own bridge network"
    with terminal.step("server", "starting criserver serve") as step:
        # A fresh machine has no network add-on that would come later, so the embedded network is wanted here.
        server = DemoServer(replace(config, network=replace(config.network, default_conflist=True)), directory)
        undo.callback(_taking, terminal, "server", "told to stop", server.stop)
        server.wait_until_it_answers()
        client = undo.enter_context(Client(config))
        step.text = f"pid {server.pid} serves {config.socket_path}"
    step.notes = server.complaints()
    return server, client


def _load(terminal: Terminal, server: DemoServer, client: Client, directory: str, undo: ExitStack) -> None:
    path = os.path.join(directory, "demo.tar")
    with terminal.step("image", "building an image from this machine's busybox") as step:
        busybox = archive.find_busybox()
        size = archive.write(path, pod.IMAGE, {}, pod.COMMAND, busybox)
        step.text = f"built from {busybox.path}, {len(busybox.applets)} commands, {size / 1e6:.1f} MB"
    with terminal.step("load", "loading and unpacking it") as step:
        [(image_id, _)] = load.load(client, path)
        undo.callback(_taking, terminal, "image", f"{pod.IMAGE} removed", lambda: pod.remove_image(client))
        step.text = f"{pod.IMAGE} is {image_id[:19]}"
        step.notes = [server.stages("Load"), *server.complaints()]


def _run_pod(terminal: Terminal, server: DemoServer, client: Client, directory: str, undo: ExitStack) -> pod.DemoPod:
    demo = pod.DemoPod(client, directory)
    with terminal.step("pod", "namespaces, cgroup and network") as step:
        demo.run()
        undo.callback(_taking, terminal, "pod", f"{pod.NAMESPACE}/{pod.NAME} stopped and removed", demo.remove)
        step.text = f"{pod.NAMESPACE}/{pod.NAME} is ready at {demo.ip}"
        step.notes = [server.stages("RunPodSandbox"), *server.complaints()]
    with terminal.step("container", "root filesystem, OCI spec, runc create") as step:
        demo.create()
        step.text = f"httpd is created, {demo.container_id[:12]}"
        step.notes = [server.stages("CreateContainer"), *server.complaints()]
    with terminal.step("start", "runc start") as step:
        demo.start()
        step.text = "httpd runs"
        step.notes = server.complaints()
    return demo


def _already_running(terminal: Terminal, config: Config) -> int:
    with Client(config) as client, errors():
        version = client.runtime.Version(cri.VersionRequest(), timeout=pod.TIMEOUT)
        terminal.title(f"{version.runtime_name} {version.runtime_version} is running already on {config.socket_path}")
        terminal.table(pod.listing(client))
    _tell_ways_in(terminal, config, None)
    return 0


def _tell_ways_in(terminal: Terminal, config: Config, demo: pod.DemoPod | None) -> None:
    tools = os.path.expanduser(os.environ.get("CRISERVER_TOOLS", "~/.cache/criserver/tools"))
    terminal.say("\n  Try it from another terminal:")
    if not shutil.which("crictl"):
        terminal.say("    hack/tools crictl       # builds crictl, with Go")
        terminal.say(f"    PATH=$PATH:{tools}/bin")
    terminal.say(f"    export CONTAINER_RUNTIME_ENDPOINT={config.listen}")
    terminal.say("    crictl pods; crictl ps; crictl images; crictl info")
    if demo is not None:
        short = demo.container_id[:12]
        terminal.say(f"    crictl logs -f {short}; crictl exec -s {short} ps; crictl inspect {short}")


def _wait(terminal: Terminal, server: DemoServer) -> None:
    terminal.title("The server runs on, its log follows. Ctrl-C takes pod and server away.")
    server.follow_log(terminal)
    try:
        while not server.has_ended():
            time.sleep(0.2)
    finally:
        server.follow_log(None)
    raise FailedPrecondition("the server has ended by itself; its last words are above")


def _taking(terminal: Terminal, label: str, text: str, undo: object) -> None:
    try:
        with terminal.step(label, text):
            undo()  # type: ignore[operator]
    except (CriError, OSError, grpc.RpcError) as error:
        terminal.say(f"  {_words(error)}")


def _words(error: BaseException) -> str:
    return str(error.details()) if isinstance(error, grpc.RpcError) else str(error)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
