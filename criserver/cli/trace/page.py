"""A pod's traces as one page that needs nothing else: no script, no font, no image from elsewhere.

It shows a waterfall, and teaches: for each stage what it is for, and what was asked of the kernel.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from criserver import __version__
from criserver.cli.trace import words
from criserver.cli.trace.gist import gist, shortened
from criserver.cli.trace.pod import GROUPS, Pod, beside, documents, duration, group, with_spec
from criserver.cli.trace.style import STYLE
from criserver.observe.timings import Asked, Stage
from criserver.observe.trace import Trace

_CLASSES: Final = {name: f"g{number}" for number, name in enumerate(dict.fromkeys(GROUPS.values()))}

_FOOTER: Final = "Times are of a monotonic clock; a stage's bar begins where the stage did, and stages may overlap."


def page(pod: Pod) -> str:
    """The whole document."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>How {escape(pod.name)} came to be</title>",
        f"<style>{STYLE}</style></head><body><main>",
        *_header(pod),
        *(part for number, each in enumerate(pod.operations) for part in _operation(pod, each, number)),
        f"<footer>Written by criserver {escape(__version__)}. {_FOOTER}</footer>",
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _header(pod: Pod) -> Iterator[str]:
    first = datetime.fromtimestamp(pod.operations[0].began / 1e9, UTC)
    stages = sum(len(each.stages) for each in pod.operations)
    yield f"<header><h1>How <em>{escape(pod.name)}</em> came to be</h1>"
    yield f'<p class="sub">sandbox <code>{escape(pod.sandbox_id[:13])}</code> · {first:%Y-%m-%d %H:%M:%S} UTC</p>'
    yield (
        f'<dl class="figures">{_figure(duration(pod.busy), "of work")}'
        f"{_figure(str(len(pod.operations)), 'requests of the kubelet')}{_figure(str(stages), 'stages')}"
        f"{_figure(str(pod.asked), 'things asked of the kernel and of programs')}</dl>"
    )
    yield f'<nav class="strip">{"".join(_part(pod, each, number) for number, each in enumerate(pod.operations))}</nav>'
    used = dict.fromkeys(group(stage) for each in pod.operations for stage in each.stages)
    marks = "".join(f'<li class="{_CLASSES[name]}">{escape(name)}</li>' for name in used)
    yield f'<ul class="legend">{marks}</ul></header>'


def _figure(number: str, what: str) -> str:
    return f"<div><dt>{escape(number)}</dt><dd>{escape(what)}</dd></div>"


def _part(pod: Pod, operation: Trace, number: int) -> str:
    """One operation in the strip of all, as wide as it took."""
    share = max(pod.took(operation) / max(pod.busy, 1e-9) * 100, 1)
    name = escape(f"{operation.operation} {operation.container}".strip())
    took = duration(pod.took(operation))
    return f'<a href="#o{number}" style="flex:{share:.2f}" title="{name}"><b>{name}</b><span>{took}</span></a>'


def _operation(pod: Pod, operation: Trace, number: int) -> Iterator[str]:
    total = max(pod.took(operation), 1e-6)
    subject = f" <em>{escape(operation.container)}</em>" if operation.container else ""
    state = '<span class="now">still runs</span>' if operation.took is None else ""
    yield f'<section id="o{number}"><h2><span>{number + 1}</span>{escape(operation.operation)}{subject}{state}'
    yield f"<small>{duration(total)}</small></h2><p>{escape(words.operation(operation.operation))}</p>"
    if operation.error:
        yield f'<p class="error">{escape(operation.error)}</p>'
    yield f'<div class="axis">{"".join(_mark(total, quarter / 4) for quarter in range(5))}</div>'
    longest = max(operation.stages, key=lambda stage: pod.lasted(operation, stage), default=None)
    for stage in operation.stages:
        news = stage is longest or stage.failed or stage.duration is None
        yield from _stage(pod, operation, stage, shown=news or stage.name in words.FIRST)
    yield "</section>"


def _mark(total: float, share: float) -> str:
    return f'<i style="left:{share:.0%}">{duration(total * share) if share else "0"}</i>'


def _stage(pod: Pod, operation: Trace, stage: Stage, *, shown: bool) -> Iterator[str]:
    total, taken = max(pod.took(operation), 1e-6), pod.lasted(operation, stage)
    left, width = min(stage.start / total * 100, 99.7), max(taken / total * 100, 0.3)
    state = " failed" if stage.failed else " runs" if stage.duration is None else ""
    yield f'<details class="stage {_CLASSES[group(stage)]}{state}"{" open" if shown else ""}><summary>'
    yield (
        f'<span class="name">{escape(stage.name)}</span><span class="track">'
        f'<span class="bar" style="left:{left:.2f}%;width:{width:.2f}%"></span></span>'
        f'<span class="took">{duration(taken)}</span></summary><div class="body">'
    )
    if text := words.stage(stage.name):
        yield f"<p>{escape(text)}</p>"
    if others := beside(operation, stage):
        yield f'<p class="beside">Ran beside {escape(_listed(others))}.</p>'
    if stage.asked:
        yield f"<ol>{''.join(_asked(each) for each in with_spec(operation, stage))}</ol>"
    if stage.more:
        yield f'<p class="beside">and {stage.more} more</p>'
    yield "</div></details>"


def _asked(asked: Asked) -> str:
    took = f"<time>{duration(asked.took)}</time>" if asked.took is not None else ""
    papers = "".join(
        f"<details><summary>{escape(title)}</summary><pre>{escape(_pretty(text))}</pre></details>"
        for title, text in documents(asked)
    )
    failed = ' class="failed"' if asked.failed else ""
    call = f'<code title="{escape(asked.what)}">{escape(shortened(asked.what))}</code>'
    short = "".join(f"<span>→ {escape(each)}</span>" for each in gist(asked))
    return f"<li{failed}><b>{escape(asked.kind)}</b><div>{call}{short}{papers}</div>{took}</li>"


def _pretty(text: str) -> str:
    """JSON over several lines; anything else as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def _listed(names: Sequence[str]) -> str:
    *first, last = dict.fromkeys(names)
    return f"{', '.join(first)} and {last}" if first else last
