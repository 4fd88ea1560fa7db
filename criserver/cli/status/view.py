"""A node for people, in a terminal of any width."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from criserver.cli.status.node import Node
from criserver.cli.words import age, counted, size

COLOURS: Final = {
    "ready": "green", "running": "green", "created": "yellow", "exited": "bright_black", "not ready": "red",
    "unknown": "red",
}  # fmt: skip
_SECOND: Final = 1_000_000_000
_LABEL: Final = 12


def show(node: Node, *, most: int | None = None, console: Console | None = None) -> None:
    """Print it, with at most `most` pods: those in trouble first, and then the newest."""
    console = console or Console(highlight=False)
    server, config = node["server"], node["config"]
    up = age((node["now"] - server["startedAt"]) / _SECOND)
    console.print(f"[bold]criserver {escape(server['version'])}[/]  pid {server['pid']}, up {up}")
    console.print()
    for each in node["conditions"]:
        sign = "[green]✓[/]" if each["status"] else "[red]✗[/]"
        why = f"  {each['reason']}: {each['message']}" if not each["status"] else ""
        console.print(f"  {sign} [bold]{each['type']}[/]{escape(why)}", soft_wrap=False)
    console.print()
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", min_width=_LABEL)
    facts.add_column(overflow="fold")
    for label, text in _facts(node, server, config):
        facts.add_row(f"  {label}", Text(text))
    console.print(facts)
    _operations(console, node)
    _pods(console, node, most)


def _facts(node: Node, server: Node, config: Node) -> list[tuple[str, str]]:
    versions = " · ".join(f"{name} {version}" for name, version in server["versions"].items())
    runtime, images = node["runtime"], node["images"]
    found = [
        ("socket", config["listen"]),
        ("root", config["root"]),
        ("state", config["state"]),
        ("runtime", f"{runtime['defaultHandler']}: {runtime['because']}"),
        ("cgroups", f"{node['cgroupDriver']} driver"),
        ("versions", versions),
        ("images", f"{images['count']}, {size(images['bytes'])}"),
    ]
    own = {key: value for key, value in node["changed"].items() if key not in ("listen", "root", "state")}
    settings = [f"{key} = {value if isinstance(value, str) else json.dumps(value)}" for key, value in own.items()]
    return [*found, ("settings", "\n".join(settings) or "all at their defaults")]


def _operations(console: Console, node: Node) -> None:
    if not node["operations"]:
        return
    console.print("\n[bold]Running requests[/]")
    for each in node["operations"]:
        stage = next((stage["name"] for stage in reversed(each["stages"]) if stage["duration"] is None), "none")
        since = age((node["now"] - each["began"]) / _SECOND)
        name = " ".join(part for part in (each["operation"], each["pod"], each["container"]) if part)
        console.print(f"  {escape(name)}  [yellow]in stage {stage}[/], for {since}")


def _pods(console: Console, node: Node, most: int | None) -> None:
    pods = sorted(node["pods"], key=lambda pod: (not _troubled(pod), -pod["createdAt"]))
    states = Counter(pod["state"] for pod in pods)
    inside = Counter(each["state"] for pod in pods for each in pod["containers"])
    total = sum(inside.values())
    console.print(
        f"\n[bold]{counted(len(pods), 'pod')}[/] {_states(states)}   "
        f"[bold]{counted(total, 'container')}[/] {_states(inside)}"
    )
    if not pods:
        return
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("  POD / CONTAINER", overflow="fold", ratio=1)
    for title in ("STATE", "AGE", "RESTARTS", "ID"):
        table.add_column(title, no_wrap=True, justify="right" if title in ("AGE", "RESTARTS") else "left")
    for pod in pods[:most]:
        table.add_row(*_row(node, pod, f"  {pod['namespace']}/{pod['name']}", "bold"))
        for number, each in enumerate(pod["containers"], 1):
            branch = "└" if number == len(pod["containers"]) else "├"
            table.add_row(*_row(node, each, f"   {branch} {each['name']}", ""))
    console.print(table)
    if most is not None and len(pods) > most:
        console.print(f"  [dim]and {len(pods) - most} more: --all shows them[/]")


def _row(node: Node, item: dict[str, Any], name: str, style: str) -> tuple[Text, ...]:
    return (
        Text(name, style),
        _state(item),
        Text(age((node["now"] - item["createdAt"]) / _SECOND)),
        Text(str(item["attempt"]), "yellow" if item["attempt"] else "dim"),
        Text(item["id"][:13], "dim"),
    )


def _state(item: Node) -> Text:
    """Of a container that failed, with its exit code, and with the reason unless that says no more than the code."""
    state, code, reason = str(item["state"]), item.get("exitCode"), str(item.get("reason", ""))
    if not code:
        return Text(state, COLOURS.get(state, ""))
    return Text(f"{state} {code}{f' {reason}' if reason not in ('', 'Error') else ''}", "red")


def _troubled(pod: Node) -> bool:
    """Whether a container of the pod failed, or its state is not known. One that is not ready has been given up."""
    return pod["state"] == "ready" and any(each["exitCode"] or each["state"] == "unknown" for each in pod["containers"])


def _states(states: Counter[str]) -> str:
    told = ", ".join(f"[{COLOURS.get(name, '')}]{count} {name}[/]" for name, count in states.items())
    return f"({told})" if told else ""
