"""How the page of a trace looks: one style sheet, for light and dark."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  --back: #f6f5f1; --card: #fff; --ink: #1d2129; --soft: #6a707c; --line: #e6e4dd; --code: #f3f2ee;
  --g0: #8b93a3; --g1: #8450c9; --g2: #2166c9; --g3: #b98300; --g4: #1f8f63; --g5: #d2492f; --bad: #c62828;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #12141a; --card: #1a1d25; --ink: #e7e9ee; --soft: #969dab; --line: #2a2e39; --code: #232732;
    --g0: #6d7484; --g1: #a97bea; --g2: #5b9bf5; --g3: #dba92f; --g4: #45bf8b; --g5: #f0735a; --bad: #ff6b6b;
  }
}
.g0 { --hue: var(--g0) } .g1 { --hue: var(--g1) } .g2 { --hue: var(--g2) }
.g3 { --hue: var(--g3) } .g4 { --hue: var(--g4) } .g5 { --hue: var(--g5) }
* { box-sizing: border-box }
body {
  margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 44px 24px 64px }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 12.5px }
h1 { margin: 0; font-size: 34px; line-height: 1.2; font-weight: 650; letter-spacing: -.02em }
h1 em { font-style: normal; color: var(--g2) }
.sub { margin: 6px 0 24px; color: var(--soft) }
.figures { display: flex; flex-wrap: wrap; gap: 12px 48px; margin: 0 0 24px }
.figures dt { font-size: 28px; font-weight: 650; line-height: 1.15; letter-spacing: -.01em }
.figures dd { margin: 0; color: var(--soft); font-size: 13px }
.strip { display: flex; gap: 3px }
.strip a {
  min-width: 150px; padding: 9px 12px; overflow: hidden; white-space: nowrap; color: #fff; text-decoration: none;
  background: #2f3542; line-height: 1.3;
}
.strip a:nth-child(even) { background: #4a5264 }
.strip a:first-child { border-radius: 8px 0 0 8px } .strip a:last-child { border-radius: 0 8px 8px 0 }
.strip b { display: block; font-size: 13px; font-weight: 600; overflow: hidden; text-overflow: ellipsis }
.strip span { font-size: 12px; opacity: .75 }
.legend { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 18px 0 0; padding: 0; list-style: none;
  color: var(--soft); font-size: 13px }
.legend li::before { content: ""; display: inline-block; width: 10px; height: 10px; margin-right: 7px;
  border-radius: 3px; background: var(--hue) }
section { margin-top: 26px; padding: 22px 26px 14px; background: var(--card); border: 1px solid var(--line);
  border-radius: 14px }
h2 { display: flex; align-items: baseline; gap: 10px; margin: 0; font-size: 20px; font-weight: 650 }
h2 > span:first-child { align-self: center; width: 26px; height: 26px; border-radius: 50%; background: var(--ink);
  color: var(--card); font-size: 14px; line-height: 26px; text-align: center }
h2 em { font-style: normal; font-weight: 450; color: var(--soft) }
h2 small { margin-left: auto; font-size: 18px; font-weight: 600; font-variant-numeric: tabular-nums }
h2 .now { padding: 1px 9px; border-radius: 20px; background: var(--g3); color: #fff; font-size: 12px }
section > p { margin: 8px 0 18px; color: var(--soft); max-width: 84ch }
section > p.error, li.failed code { color: var(--bad) }
.axis { position: relative; height: 20px; margin: 0 84px 2px 152px; border-bottom: 1px solid var(--line) }
.axis i { position: absolute; transform: translateX(-50%); color: var(--soft); font-size: 11px; font-style: normal;
  white-space: nowrap }
.axis i:first-child { transform: none } .axis i:last-child { transform: translateX(-100%) }
.stage > summary { display: flex; align-items: center; padding: 5px 0; cursor: pointer; list-style: none;
  border-radius: 6px }
.stage > summary::-webkit-details-marker { display: none }
.stage > summary:hover { background: var(--code) }
.name { flex: 0 0 152px; padding-left: 18px; position: relative; font-weight: 550 }
.name::before { content: "›"; position: absolute; left: 4px; color: var(--soft) }
.stage[open] .name::before { transform: rotate(90deg) }
.track { position: relative; flex: 1; height: 20px; border-radius: 4px;
  background: repeating-linear-gradient(90deg, var(--line) 0 1px, transparent 1px 25%) }
.bar { position: absolute; top: 2px; bottom: 2px; min-width: 3px; border-radius: 4px; background: var(--hue) }
.failed .bar { outline: 2px solid var(--bad); outline-offset: 1px }
.runs .bar { opacity: .6 }
.took { flex: 0 0 84px; text-align: right; font-variant-numeric: tabular-nums; font-size: 13.5px }
.failed > summary .took { color: var(--bad) }
.body { margin: 2px 0 14px 18px; padding: 2px 0 2px 20px; border-left: 3px solid var(--hue) }
.body > p { margin: 4px 0 8px; max-width: 88ch }
.body > p.beside { color: var(--soft); font-size: 13px }
ol { margin: 10px 0 0; padding: 0; list-style: none }
ol li { display: flex; gap: 12px; align-items: baseline; padding: 5px 0; border-top: 1px solid var(--line) }
ol li > b { flex: 0 0 84px; color: var(--hue); font-size: 11px; font-weight: 650; letter-spacing: .05em;
  text-transform: uppercase }
ol li > div { flex: 1; min-width: 0 }
ol li code { overflow-wrap: anywhere }
ol li div > span { display: block; margin: 2px 0; font-size: 13.5px }
ol li time { color: var(--soft); font-size: 12.5px; font-variant-numeric: tabular-nums; white-space: nowrap }
ol li details { margin-top: 4px }
ol li details > summary { color: var(--soft); font-size: 12.5px; cursor: pointer }
pre { max-height: 340px; margin: 6px 0 4px; padding: 12px 14px; overflow: auto; background: var(--code);
  border-radius: 8px; font-size: 12px; line-height: 1.45 }
footer { margin-top: 28px; color: var(--soft); font-size: 12.5px }
@media (max-width: 700px) { .name { flex-basis: 110px } .axis { margin-left: 110px } ol li > b { flex-basis: 64px } }
"""
