"""The report's style sheet: light and dark, no external assets."""

__all__ = ["STYLE"]

STYLE = """\
:root {
  --text: #1f2328; --back: #ffffff; --soft: #59636e; --line: #d8dee4; --card: #f6f8fa;
  --warn: #7a4a00; --warn-back: #fff4d6; --mark: #fff0b8; --added: #b3261e; --gone: #6b7580;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e6e9ed; --back: #14171b; --soft: #a3adb8; --line: #3a414a; --card: #1e2329;
    --warn: #ffd887; --warn-back: #3a2c08; --mark: #4d3f0a; --added: #ff9c8f; --gone: #8d98a5;
  }
}
body {
  margin: 0; background: var(--back); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 64rem; margin: 0 auto; padding: 2rem 1.2rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .8rem; padding-top: .8rem; border-top: 1px solid var(--line); }
.badge {
  background: var(--warn-back); color: var(--warn); border-left: 4px solid currentColor;
  padding: .7rem 1rem; margin: 0 0 1rem;
}
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0 1rem; }
th, td { padding: .4rem .8rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
thead th { font-size: .88rem; color: var(--soft); vertical-align: bottom; white-space: nowrap; }
figure { margin: 1rem 0 1.6rem; }
figure > div {
  background: #ffffff; border: 1px solid var(--line); border-radius: 6px; padding: .6rem; overflow-x: auto;
}
figure svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { color: var(--soft); font-size: .92rem; margin-top: .6rem; }
details { margin: .6rem 0; }
summary { cursor: pointer; }
p { overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .6rem; }
.caption, .readout, .status { color: var(--soft); font-size: .92rem; }
.readout { min-height: 1.5em; font-variant-numeric: tabular-nums; margin: .3rem 0; }
.missing { background: var(--card); border-radius: 6px; padding: .8rem 1rem .8rem 2.2rem; overflow-wrap: anywhere; }
td.differs, mark { background: var(--mark); color: inherit; }
table.sides { font-size: .88rem; }
table.sides th, table.sides td { text-align: left; padding: .2rem .8rem; vertical-align: top; }
table.sides tbody th { font-weight: 500; color: var(--soft); white-space: nowrap; }
.controls { display: flex; flex-wrap: wrap; gap: .3rem 1rem; }
.control { display: inline-flex; align-items: center; gap: .4rem; margin: .2rem .8rem .5rem 0; font-size: .92rem; }
select, button, input {
  font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .2rem .5rem;
}
select { max-width: 20rem; }
input[type="search"] { width: 21rem; max-width: 100%; }
.chart svg { display: block; width: 100%; height: auto; font-size: 12.5px; }
.chart svg text { fill: var(--soft); }
.grid { stroke: var(--line); }
.axis, .rule, .cursor { stroke: var(--soft); }
.rule { stroke-dasharray: 2 4; }
.cursor { stroke-opacity: .5; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.band { fill-opacity: .13; }
.mark { stroke: var(--back); }
.shaded { fill: #f0e442; fill-opacity: .22; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem; }
.legend button { font-size: .85rem; display: inline-flex; align-items: center; gap: .4rem; background: none; }
.legend svg { width: 26px; height: 10px; }
.legend [aria-pressed="false"] { opacity: .4; text-decoration: line-through; }
.utterance { border: 1px solid var(--line); border-radius: 6px; padding: .6rem .9rem; margin: 0 0 .8rem; }
.utterance .head { display: flex; flex-wrap: wrap; align-items: center; gap: .3rem 1rem; }
.utterance b { overflow-wrap: anywhere; }
.utterance audio { height: 2rem; margin-left: auto; max-width: 100%; }
.utterance table { width: 100%; margin: .4rem 0 0; }
.utterance th {
  width: 9rem; color: var(--soft); font-weight: 500; text-align: left; vertical-align: top; overflow-wrap: anywhere;
}
.utterance td { text-align: left; overflow-wrap: anywhere; }
.utterance td.score { width: 3.2rem; text-align: right; color: var(--soft); vertical-align: top; }
.utterance tr:last-child > * { border-bottom: 0; }
.delta { color: var(--soft); font-variant-numeric: tabular-nums; }
ins { text-decoration: underline 2px; color: var(--added); }
del { color: var(--gone); }
#plan { display: block; width: 100%; border: 1px solid var(--line); border-radius: 6px; }
#plan-caption { margin: .2rem 0 .5rem; font-weight: 600; }
pre {
  background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .8rem 1rem; overflow-x: auto; font-size: .85rem;
}
"""
