// How <gemel-chat> looks: the style sheet of its shadow root. A page changes it by --gemel-* variables and ::part().
export const STYLE = `
:host {
    color-scheme: light dark;
    --ink: var(--gemel-ink, light-dark(#1c1d22, #e9e9ee)); --paper: var(--gemel-paper, light-dark(#fff, #17181c));
    --soft: var(--gemel-soft, light-dark(#f1f2f5, #24262c)); --line: var(--gemel-line, light-dark(#8b8e98, #777b86));
    --quiet: var(--gemel-quiet, light-dark(#595c66, #a5a8b3)); --radius: var(--gemel-radius, .75rem);
    --accent: var(--gemel-accent, light-dark(#1d4fd7, #86a8ff));
    --on-accent: var(--gemel-on-accent, light-dark(#fff, #10131c)); --bad: light-dark(#b3151c, #ff9a94);
    --fine: color-mix(in oklab, var(--line) 45%, transparent); --mono: ui-monospace, "Cascadia Mono", Menlo, monospace;
    display: flex; flex-direction: column; gap: .5rem; box-sizing: border-box; height: 30rem; padding: .75rem;
    border: 1px solid var(--line); border-radius: var(--radius); background: var(--paper); color: var(--ink);
    font: 1rem/1.5 system-ui, sans-serif;
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.log { flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; border-radius: .5rem; }
.welcome { display: flow-root; max-width: 46rem; }
.examples { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: .75rem; }
::slotted([slot="greeting"]) { margin-block: 0 .4rem; }
::slotted(button) { min-height: 2.75rem; padding: 0 .9rem; border: 1px solid var(--line); border-radius: var(--radius);
    background: var(--soft); color: var(--ink); font: inherit; text-align: start; cursor: pointer; }
.message { max-width: 46rem; margin: 0 0 .75rem; overflow-wrap: anywhere; text-align: start; }
.user, .as-is { white-space: pre-wrap; unicode-bidi: plaintext; }
.user { width: fit-content; max-width: 85%; margin-left: auto; padding: .4rem .75rem; border-radius: var(--radius);
    background: var(--soft); }

.fold { max-width: 100%; margin: 0 0 .5rem; color: var(--quiet); font-size: .9rem; white-space: normal; }
.fold summary { display: flex; gap: .5rem; align-items: center; width: fit-content; max-width: 100%; min-height: 2rem;
    padding: 0 .6rem; border: 1px solid var(--line); border-radius: .5rem; cursor: pointer; }
.fold summary::before { content: "▸"; flex: none; }
.fold summary:focus-visible { outline-offset: -2px; }
.fold[open] summary::before { content: "▾"; }
.fold .title, .fold .state { flex: none; }
.fold code.title { max-width: 60%; overflow: hidden; color: var(--ink); text-overflow: ellipsis; }
.fold .preview { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.fold[open] .preview { visibility: hidden; }
.fold code, .fold pre, .fold .preview { font-family: var(--mono); font-size: .85em; }
.fold.failed .state { color: var(--bad); }
.fold .inside { margin: .4rem 0 .75rem; padding-inline-start: .75rem; border-inline-start: 2px solid var(--line); }
.fold.thought .inside { white-space: pre-wrap; }
.fold dd { margin: 0; color: var(--ink); }
.fold pre { margin: 0 0 .35rem; white-space: pre-wrap; overflow-wrap: anywhere; }

.text { overflow-wrap: anywhere; }
.block { display: flow-root; }
.block > * { margin: 0 0 .65em; }
.text :is(h3, h4, h5, h6) { margin: .5em 0; font-size: 1.05em; line-height: 1.35; }
.text :is(ul, ol) { padding-inline-start: 1.4em; }
.text li { margin: .2em 0; }
.text li > p { margin: 0 0 .3em; }
.text blockquote { padding-inline-start: .9em; border-inline-start: 3px solid var(--fine); color: var(--quiet); }
.text a { color: var(--accent); }
.text hr { border: 0; border-top: 1px solid var(--line); }
.text :is(code, pre) { font-family: var(--mono); font-size: .9em; }
.text :not(pre) > code { padding: .1em .3em; border-radius: 4px; background: var(--soft); }
.code { overflow: clip; border: 1px solid var(--fine); border-radius: .5rem; }
.code-head { display: flex; justify-content: space-between; align-items: center; padding-inline-start: .75rem;
    border-bottom: 1px solid var(--fine); color: var(--quiet); font-size: .8rem; }
.code-head { position: sticky; z-index: 1; top: 0; background: var(--paper); }
.hljs-keyword, .hljs-selector-tag, .hljs-literal { color: light-dark(#7a3e9d, #d2a8ff); }
.hljs-string, .hljs-regexp { color: light-dark(#1a6b3a, #8fd6a3); }
.hljs-number, .hljs-variable, .hljs-symbol { color: light-dark(#8f4300, #f2b07a); }
.hljs-title, .hljs-name, .hljs-built_in, .hljs-type, .hljs-attr { color: light-dark(#1d4f91, #93bbf5); }
.hljs-comment, .hljs-quote, .hljs-meta { color: var(--quiet); font-style: italic; }
.math:not(:has(math)) { font-family: var(--mono); font-size: .9em; white-space: pre-wrap; }
.math.display { display: block; margin: .5em 0; overflow-x: auto; text-align: center; }
.text li.task { list-style: none; margin-inline-start: -1.2em; }
.code pre { margin: 0; padding: .75rem; overflow-x: auto; line-height: 1.5; overflow-wrap: normal; }
.wide-table { overflow-x: auto; }
.text table { border-collapse: collapse; font-size: .95em; overflow-wrap: normal; }
.text :is(th, td) { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--fine); text-align: start;
    vertical-align: top; }
.text [align="right"] { text-align: right; }
.text [align="center"] { text-align: center; }
.act { display: inline-flex; gap: .35rem; align-items: center; min-width: 0; min-height: 2rem; padding: 0 .5rem;
    border: 0; border-radius: .4rem; background: none; color: var(--quiet); font-size: .8rem; font-weight: 400; }
.act:hover { background: var(--soft); color: var(--ink); }
.icon { width: 1rem; height: 1rem; flex: none; fill: none; stroke: currentColor; stroke-width: 1.6;
    stroke-linecap: round; stroke-linejoin: round; }
.foot { margin: -.25rem 0 0 -.5rem; }

.offer { padding: .75rem; border: 1px solid var(--line); border-radius: var(--radius); background: var(--soft); }
.offer p { margin: 0 0 .5rem; }
.offer .row { display: flex; flex-wrap: wrap; gap: .5rem; }
.offer .later { background: none; color: var(--ink); box-shadow: inset 0 0 0 1px var(--line); }
.status { min-height: 1.3rem; color: var(--quiet); font-size: .85rem; line-height: 1.3rem;
    font-variant-numeric: tabular-nums; }
.error { margin: 0; color: var(--bad); font-size: .9rem; overflow-wrap: anywhere; }
progress { width: 100%; height: .35rem; accent-color: var(--accent); }
progress[hidden] { display: block !important; visibility: hidden; }
form { display: flex; gap: .5rem; align-items: end; }
textarea { flex: 1; min-width: 0; min-height: 2.75rem; max-height: 10rem; padding: .55rem .7rem; resize: none;
    field-sizing: content; border: 1px solid var(--line); border-radius: .5rem; background: var(--paper);
    color: inherit; font: inherit; }
textarea::placeholder { color: var(--quiet); opacity: 1; }
button { min-width: 5rem; min-height: 2.75rem; padding: 0 1rem; border: 0; border-radius: .5rem;
    background: var(--accent); color: var(--on-accent); font: inherit; font-weight: 600; cursor: pointer; }
button.stop { background: var(--ink); color: var(--paper); }
button:disabled { opacity: .5; cursor: default; }
`;
