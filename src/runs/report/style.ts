/** The style of a page: one column on a phone, two columns of charts where there is room, light and dark. */
export const PAGE_STYLE: string = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1b1f24; --muted: #5b6470; --line: #dfe3e8; --grid: #eceff2; --mark: #9aa4b0;
  --shade: #0000002e; --blue: #2166c0; --orange: #c7560a; --green: #177a4b; --purple: #7b4bb7;
  --red: #c2303c; --teal: #0d7d8a; --pink: #b5307d; --olive: #746600;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --card: #1c2026; --text: #e4e8ed; --muted: #9aa5b1; --line: #323942; --grid: #2a3038; --mark: #6b7683;
    --shade: #000000a0; --blue: #6aa9f7; --orange: #f59b57; --green: #58c48f; --purple: #b796ea;
    --red: #f47c84; --teal: #4ec3cf; --pink: #ee86c0; --olive: #c8b55a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 16px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; margin-bottom: 12px; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 4px 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 2px; }
p { margin: 0 0 8px; color: var(--muted); font-size: 0.9rem; }
:is(.words, .grounds) { max-width: 80ch; margin: 4px 0; }
.words { color: var(--text); font-size: 1rem; }
.hidden { position: absolute; width: 1px; height: 1px; margin: -1px; padding: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden], p:empty { display: none !important; }
:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; border-radius: 4px; }
#state { margin: 0; padding: 1px 10px; border: 1px solid var(--line); border-radius: 99px; background: var(--card); color: var(--text); font-size: 0.85rem; }
#state.running::before { content: ""; display: inline-block; width: 8px; height: 8px; margin-right: 6px; border-radius: 50%; background: var(--green); }
:is(#warnings, #connection:not(:empty)) { margin: 0 0 12px; padding: 8px 12px; border-left: 4px solid var(--orange); border-radius: 6px; background: var(--card); color: var(--text); font-size: 0.9rem; }
#warnings:not(:empty) { padding-left: 28px; }
:is(#warnings, #facts, #summary, #settings):empty { display: none; }
#choice { margin: 0 0 12px; }
#facts { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1px; margin: 0; border: 1px solid var(--line); border-radius: 10px; overflow: hidden; background: var(--line); }
#facts > div { background: var(--card); padding: 7px 10px; }
#facts dt { color: var(--muted); font-size: 0.78rem; }
#facts dd { margin: 0; line-height: 1.3; font-variant-numeric: tabular-nums; }
#facts b { font-size: 1.15rem; font-weight: 600; }
#facts span { display: block; color: var(--muted); font-size: 0.75rem; }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
:is(#controls, #choice) { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 18px; font-size: 0.9rem; }
#controls { margin-top: 12px; }
:is(#controls, #choice) label { display: inline-flex; align-items: center; gap: 6px; }
#controls output { min-width: 2.6em; color: var(--muted); font-variant-numeric: tabular-nums; }
#controls [type="range"] { width: 110px; }
input { accent-color: var(--blue); }
select { max-width: 16rem; padding: 4px 6px; border: 1px solid var(--line); border-radius: 6px; background: var(--card); color: var(--text); font: inherit; }
.choice { display: flex; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; background: var(--card); }
.choice label + label { border-left: 1px solid var(--line); }
.choice input { position: absolute; opacity: 0; }
.choice span { padding: 4px 12px; cursor: pointer; }
.choice :checked + span { background: var(--blue); color: var(--card); }
.choice :disabled + span { color: var(--muted); opacity: 0.6; cursor: default; }
.choice :focus-visible + span { outline: 2px solid var(--text); outline-offset: -3px; }
.chips { display: flex; flex-wrap: wrap; gap: 6px; max-height: 84px; overflow-y: auto; }
.chip { padding: 2px 9px; border: 1px solid var(--line); border-radius: 99px; background: var(--card); overflow-wrap: anywhere; }
.swatch { display: inline-block; width: 14px; flex: none; border-top: 3px solid; }
.swatch.dashed { border-top-style: dashed; }
.named { display: inline-flex; align-items: center; gap: 8px; color: var(--text); }
.first { display: grid; grid-template-columns: minmax(0, 1fr); gap: 12px; margin-top: 12px; }
.first .card { margin-top: 0; }
.first > :has(#samples:empty), #loss:empty { display: none; }
.scroll-down { max-height: 420px; overflow-y: auto; overscroll-behavior: contain; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px; margin-top: 16px; min-width: 0; }
:is(.charts, .tables) { display: grid; grid-template-columns: minmax(0, 1fr); gap: 16px; margin-top: 16px; }
:is(.charts, .tables) .card { margin-top: 0; }
:is(.charts, .tables):empty { display: none; }
@media (min-width: 860px) {
  #facts { grid-template-columns: repeat(6, minmax(0, 1fr)); }
  .first:not(:has(#samples:empty, #loss:empty)) { grid-template-columns: minmax(0, 1.9fr) minmax(0, 1fr); }
  .charts { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .tables { grid-template-columns: repeat(2, minmax(0, 1fr)); align-items: start; }
  .tables .card:last-child:nth-child(odd) { grid-column: 1 / -1; }
  #charts .card:last-child:nth-child(odd) { grid-column: 1 / -1; }
  .charts.led .card:is(:first-child, :last-child:nth-child(even)) { grid-column: 1 / -1; }
}
@media (min-width: 860px) and (max-width: 1039px) { #curves .card:last-child:nth-child(odd) { grid-column: 1 / -1; } }
@media (min-width: 1040px) { #curves { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
table { width: 100%; border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 5px 10px 5px 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
tr:first-child > * { border-top: 0; }
th { font-weight: 500; color: var(--muted); }
.pairs th { width: 40%; }
.pairs td { font-weight: 500; }
.numbers :is(th, td) { text-align: right; padding: 5px 0 5px 6px; overflow-wrap: normal; }
.numbers th { vertical-align: bottom; }
.numbers :is(th, td):first-child { text-align: left; padding-left: 0; }
.numbers td { white-space: nowrap; }
.layers td:first-child { overflow-wrap: anywhere; min-width: 9rem; white-space: normal; }
.scroll {
  overflow-x: auto;
  background:
    linear-gradient(to right, var(--card) 40%, transparent) left / 28px 100% local,
    linear-gradient(to left, var(--card) 40%, transparent) right / 28px 100% local,
    linear-gradient(to right, var(--shade), transparent) left / 9px 100% scroll,
    linear-gradient(to left, var(--shade), transparent) right / 9px 100% scroll;
  background-repeat: no-repeat;
}
.bars td { white-space: nowrap; text-align: right; width: 1%; }
.bars th { white-space: nowrap; width: 1%; }
.bars .bar { width: auto; padding: 5px 0; text-align: left; vertical-align: middle; }
.bars span { display: block; height: 0.75em; min-width: 2px; border-radius: 2px; background: var(--blue); opacity: 0.6; }
.bars .sum span { opacity: 1; }
.bars .measured span { background: var(--orange); opacity: 1; }
.bars :is(.sum, .measured) > * { font-weight: 600; color: var(--text); }
.sample { border-top: 1px solid var(--line); padding: 8px 0; }
.sample h3 { margin: 0; color: var(--muted); font-size: 0.85rem; font-weight: 500; font-variant-numeric: tabular-nums; }
.sample h3 { margin-top: 6px; }
.prompt pre { font-weight: 600; }
.answer, .bubble { margin-top: 4px; }
.bubble { width: fit-content; max-width: 92%; padding: 2px 10px 6px; border: 1px solid var(--line); border-radius: 12px; }
.bubble.asked { margin-left: auto; background: var(--page); }
.bubble + .bubble:not(.asked) { margin-top: 8px; }
.sample details { margin-top: 6px; }
.sample summary, #samples > details > summary { color: var(--muted); font-size: 0.85rem; font-weight: 500; }
.sample:first-of-type { border-top: 0; }
.sample pre { margin: 2px 0 0; font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
summary { cursor: pointer; font-weight: 600; font-size: 1.05rem; }
details > :not(summary) { margin-top: 8px; }
.u-legend { color: var(--text); font-size: 13px; text-align: left; margin: 0; }
.u-legend :is(th, td) { border: 0; padding: 2px 8px 2px 0; color: inherit; }
.u-legend .edge { display: none; }
.u-label[role] { cursor: pointer; }
.u-legend .u-off { opacity: 1; text-decoration: line-through; }
.u-legend .u-series:first-child .u-marker { display: none; }
.u-select { background: color-mix(in srgb, var(--blue) 18%, transparent); }
@media (max-width: 480px) {
  main { padding: 10px; }
  .card { padding: 12px; }
  .numbers { font-size: 0.78rem; }
}
`;
