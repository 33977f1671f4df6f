"""The look of the evaluation page, in light and in dark."""

STYLE = """
:root { color-scheme: light dark; --paper: #faf8f4; --card: #fff; --ink: #1d1b19;
  --muted: #6d665e; --line: #e5dfd5; --main: #eef0f8;
  --c1: #2c3b8b; --c2: #b8382b; --c3: #1c7c6c; --c4: #9a6a00; }
@media (prefers-color-scheme: dark) { :root { --paper: #151517; --card: #1e1e21;
  --ink: #f0ece5; --muted: #a49d94; --line: #323136; --main: #26293a;
  --c1: #a9b7ee; --c2: #ef7d6c; --c3: #6fcdbb; --c4: #dcb25a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 32px clamp(16px, 3vw, 40px) 72px; }
h1 { margin: 0 0 4px; font-size: 30px; line-height: 1.15; letter-spacing: -.02em;
  overflow-wrap: anywhere; }
h2 { margin: 36px 0 12px; font-size: 18px; }
h3 { margin: 0 0 8px; font-size: 14px; overflow-wrap: anywhere; }
p { margin: 0; } header p, small, .from { color: var(--muted); } .from { font-size: 13px; }
.kind { font-size: 13px; letter-spacing: .06em; text-transform: uppercase; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; }
.tiles div { padding: 12px 18px; border: 1px solid var(--line); border-radius: 12px;
  background: var(--card); }
.tiles small, .tiles strong { display: block; } .tiles strong { font-size: 28px; line-height: 1.2; }
.plots { display: grid; gap: 16px; align-items: start; margin-top: 28px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); }
figure { margin: 0; padding: 14px 16px 8px; border: 1px solid var(--line); border-radius: 12px;
  background: var(--card); }
figcaption { font-size: 14px; font-weight: 600; } figcaption div { min-height: 22px; }
svg { display: block; width: 100%; height: auto; }
.key { display: inline-block; margin-right: 14px; font-size: 13px; font-weight: 400;
  color: var(--muted); }
.key i { display: inline-block; width: 10px; height: 10px; margin-right: 5px; border-radius: 5px;
  background: var(--c); }
.c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); } .c4 { --c: var(--c4); }
.tick, .axis { font-size: 12px; fill: var(--muted); }
.grid { stroke: var(--line); fill: none; }
.ideal { stroke: var(--muted); stroke-dasharray: 4 4; fill: none; }
.line { stroke: var(--c); stroke-width: 2; fill: none; }
.whisker { stroke: var(--c); stroke-width: 3; stroke-linecap: round; opacity: .4; fill: none; }
.band { fill: var(--c); opacity: .13; } .dot { fill: var(--c); }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 12px;
  background: var(--card); }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 12px; text-align: right; white-space: nowrap; }
th { color: var(--muted); font-size: 13px; font-weight: 500; }
th:first-child, td:first-child { text-align: left; }
tbody tr { border-top: 1px solid var(--line); } tr.main { background: var(--main); }
td small { display: block; font-size: 11.5px; }
ul { margin: 10px 0 0; padding-left: 20px; color: var(--muted); }
.misses { display: grid; gap: 16px; margin: 0; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 560px), 1fr)); }
.misses li { padding: 12px 14px; border: 1px solid var(--line); border-radius: 12px;
  background: var(--card); }
.misses li > div { display: flex; gap: 8px; }
.misses li > div > div { flex: 1; min-width: 0; }
.misses .wanted { margin-right: 10px; }
.misses img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain;
  border-radius: 6px; background: #fff; }
.misses small { display: block; overflow: hidden; font-size: 12px; text-overflow: ellipsis;
  white-space: nowrap; }
.wanted img { outline: 2px solid var(--c3); } .found img { outline: 1px solid var(--line); }
"""
