"""The report's style sheet: light and dark, no external assets."""

__all__ = ["STYLE"]

STYLE = """\
:root {
  --text: #1f2328; --back: #ffffff; --soft: #59636e; --line: #d8dee4; --card: #f6f8fa;
  --warn: #7a4a00; --warn-back: #fff4d6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e6e9ed; --back: #14171b; --soft: #a3adb8; --line: #3a414a; --card: #1e2329;
    --warn: #ffd887; --warn-back: #3a2c08;
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
table.facts { width: 100%; table-layout: fixed; }
table.facts th { width: 10rem; font-weight: 600; color: var(--soft); vertical-align: top; overflow-wrap: anywhere; }
table.facts td { text-align: left; overflow-wrap: anywhere; }
table.facts caption { text-align: left; font-size: .88rem; color: var(--soft); padding: .3rem 0; }
figure { margin: 1rem 0 1.6rem; }
figure > div {
  background: #ffffff; border: 1px solid var(--line); border-radius: 6px; padding: .6rem; overflow-x: auto;
}
figure svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { color: var(--soft); font-size: .92rem; margin-top: .6rem; }
details { margin: .6rem 0; }
summary { cursor: pointer; }
pre {
  background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .8rem 1rem; overflow-x: auto; font-size: .85rem;
}
"""
