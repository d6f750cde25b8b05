--- The page's one style sheet. `hash` is what the Content-Security-Policy knows it by; a spec holds
--- it against the text.
local style = {}

style.hash = "sha256-3WaThnpATSaDaUR2J+WxkNCLEW5IPK7X4PuSXabV3wU="

style.text = [[
:root {
  color-scheme: light dark;
  --back: #ffffff; --text: #1b1d20; --faint: #55595f; --line: #c9ccd1; --focus: #0b57d0;
  --bad: #fde3e5; --bad-line: #b3001b; --bad-back: #b3001b; --bad-text: #ffffff;
  --warn: #fff2cf; --warn-line: #8a5a00; --warn-back: #7a4d00; --warn-text: #ffffff;
  --good-back: #dff1e3; --good-text: #14482a; --bar: #6b8fc4; --bar-bad: #b3001b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #131518; --text: #e9eaec; --faint: #b4b8bf; --line: #43474e; --focus: #9cc3ff;
    --bad: #4d121a; --bad-line: #ff8a94; --bad-back: #ff9aa3; --bad-text: #2b0005;
    --warn: #3c2f08; --warn-line: #ffd166; --warn-back: #ffd166; --warn-text: #2b2000;
    --good-back: #14351f; --good-text: #b3e8c1; --bar: #7f9fd0; --bar-bad: #ff8a94;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 90rem; background: var(--back); color: var(--text);
  font: 1rem/1.4 system-ui, sans-serif; overflow-wrap: break-word;
}
bdi { overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
p { margin: .25rem 0; }
small, .faint { color: var(--faint); font-size: .85rem; }
button {
  font: inherit; color: var(--text); background: var(--back); padding: .4rem .8rem;
  border: 1px solid var(--faint); border-radius: .3rem; min-height: 2.75rem;
}
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.late { font-weight: bold; border-left: .4rem solid var(--warn-line); padding-left: .5rem; }
.scroll { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .5rem; color: var(--faint); }
th, td { text-align: left; vertical-align: top; padding: .5rem .6rem;
  border-bottom: 1px solid var(--line); }
thead th { font-size: .85rem; white-space: nowrap; }
tbody th { border-left: .4rem solid transparent; min-width: 8rem; }
td small, th small { display: block; }
tr.bad { background: var(--bad); }
tr.bad th { border-left-color: var(--bad-line); }
tr.warn { background: var(--warn); }
tr.warn th { border-left-color: var(--warn-line); }
tr.bad small, tr.warn small { color: inherit; }
.word { display: inline-block; padding: .1rem .5rem; border-radius: .3rem; font-weight: bold;
  background: var(--good-back); color: var(--good-text); white-space: nowrap; }
.word.bad { background: var(--bad-back); color: var(--bad-text); }
.word.warn { background: var(--warn-back); color: var(--warn-text); }
.word.none { background: none; color: inherit; font-weight: normal; padding: 0; }
ul { margin: 0; padding: 0; list-style: none; }
svg { display: block; width: 11rem; max-width: 100%; height: 2.2rem;
  border-bottom: 1px solid var(--faint); }
.calls { fill: var(--bar); }
.failures { fill: var(--bar-bad); }
@media (prefers-reduced-motion: no-preference) {
  tbody tr { transition: background-color .3s; }
}
@media (max-width: 60rem) {
  table, tbody, tbody tr, tbody th, tbody td, caption { display: block; width: auto; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); white-space: nowrap; }
  .scroll { overflow-x: visible; }
  tbody tr { border: 1px solid var(--line); border-radius: .4rem; margin-bottom: 1rem; }
  tbody th { font-size: 1.15rem; border-radius: .4rem; }
  tbody td { display: grid; grid-template-columns: 8rem 1fr; gap: .5rem; padding: .3rem .6rem;
    border: 0; }
  tbody td::before { content: attr(data-label); content: attr(data-label) / "";
    color: var(--faint); }
  tr.bad td::before, tr.warn td::before { color: inherit; }
}
]]

return style
