// The editor of strategies: colours, completion with documentation, mistakes at their place as one types, a chart that follows.
//
// It lives in a shadow of its own: its styles are adopted there, and no page has to allow styles that stand within it.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { forceLinting, lintGutter, lintKeymap, linter } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { headers } from "./page.js";

const look = EditorView.theme({
  "&": { fontSize: "13px", border: "1px solid var(--line)", borderRadius: "6px", backgroundColor: "var(--surface)", color: "var(--text)" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "1px" },
  ".cm-content": { fontFamily: "var(--mono)", minHeight: "22em", caretColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--ground)", color: "var(--muted)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--hover)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground, ::selection": { backgroundColor: "var(--selection) !important" },
  ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "6px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { fontStyle: "normal", opacity: ".75" },
  ".cm-diagnostic": { fontFamily: "var(--sans)" },
}, {});

const ink = HighlightStyle.define([
  { tag: tags.definition(tags.propertyName), color: "var(--accent)" },
  { tag: tags.propertyName, color: "var(--accent)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.string, tags.content], color: "var(--text)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--series-2)" },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace], color: "var(--muted)" },
]);

export function start(within) {
  for (const area of within.querySelectorAll("textarea[data-editor]:not([data-edited])")) edit(area);
}

function edit(area) {
  area.dataset.edited = "";
  const host = document.createElement("div");
  host.className = "editor-host";
  area.before(host);
  const shadow = host.attachShadow({ mode: "open" });
  const label = document.querySelector(`label[for="${area.id}"]`)?.textContent || "The document";
  const view = new EditorView({
    root: shadow,
    parent: shadow,
    state: EditorState.create({
      doc: area.value,
      extensions: [
        lineNumbers(), history(), drawSelection(), indentOnInput(), indentUnit.of("  "), bracketMatching(), closeBrackets(), highlightActiveLine(), highlightSelectionMatches(),
        yaml(), syntaxHighlighting(ink), look, EditorView.lineWrapping, EditorView.domEventHandlers({ beforeinput: replaced }),
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
        EditorState.readOnly.of(area.readOnly),
        area.dataset.check ? [lintGutter(), linter((view) => check(view, area), { delay: 250 })] : [],
        area.dataset.completions ? autocompletion({ override: [completer(area.dataset.completions)] }) : [],
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap, indentWithTab]),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          area.value = update.state.doc.toString();
          area.dispatchEvent(new Event("input", { bubbles: true }));
        }),
      ],
    }),
  });
  area.hidden = true;
  label && document.querySelector(`label[for="${area.id}"]`)?.addEventListener("click", () => view.focus());
  host.view = view;
  if (area.dataset.check) forceLinting(view);
  const symbol = document.querySelector("[data-preview]");
  if (symbol) follow(area, symbol);
}

// What is typed over a selection: a browser would carry the style of what stood there along, which the page's policy forbids.
function replaced(event, view) {
  if (event.inputType !== "insertText" || !event.data || view.state.selection.main.empty || /^[([{'"]$/.test(event.data)) return false;
  event.preventDefault();
  view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type" });
  return true;
}

function completer(address) {
  let known = null;
  return async (context) => {
    const word = context.matchBefore(/[A-Za-z_]\w*/);
    if (!word && !context.explicit) return null;
    known ??= fetch(address).then((answer) => answer.json()).catch(() => []);
    const options = (await known).map((each) => ({ ...each, info: each.info || undefined, apply: each.type === "function" ? `${each.label}(` : each.label }));
    return { from: word ? word.from : context.pos, options, validFor: /^\w*$/ };
  };
}

// Every mistake that the server finds, where it stands.
async function check(view, area) {
  const text = view.state.doc.toString();
  let said;
  try {
    const answer = await fetch(area.dataset.check, { method: "POST", body: new URLSearchParams({ text }), headers });
    said = await answer.json();
  } catch {
    return [];
  }
  const found = [...said.problems, ...said.hints];
  summarise(found, said);
  return found.map((problem) => {
    const [from, to] = placeOf(view.state.doc, problem);
    return { from, to, severity: said.hints.includes(problem) ? "warning" : "error", message: problem.message + (problem.remedy ? ` → ${problem.remedy}` : "") };
  });
}

function placeOf(doc, problem) {
  if (!problem.line || problem.line > doc.lines) return [0, Math.min(doc.length, doc.line(1).to)];
  const line = doc.line(problem.line);
  const from = Math.min(line.to, line.from + Math.max(0, (problem.column || 1) - 1));
  const text = problem.text && doc.sliceString(from, from + problem.text.length) === problem.text ? problem.text.length : doc.sliceString(from, line.to).match(/^[\w.%]+|^\S/)?.[0].length || 1;
  return [from, Math.min(line.to, from + text)];
}

function summarise(found, said) {
  const box = document.getElementById("problems");
  if (!box) return;
  box.replaceChildren();
  const list = document.createElement("ul");
  list.className = "plain";
  for (const problem of found) {
    const item = document.createElement("li");
    item.className = said.hints.includes(problem) ? "warning" : "error";
    item.textContent = `${problem.line ? `line ${problem.line}, column ${problem.column}: ` : ""}${problem.message}${problem.remedy ? ` → ${problem.remedy}` : ""}`;
    list.append(item);
  }
  for (const name of said.unused || []) {
    const item = document.createElement("li");
    item.className = "note";
    item.textContent = `“${name}” is defined and not used`;
    list.append(item);
  }
  if (!found.length) {
    const well = document.createElement("p");
    well.className = "ok";
    well.textContent = "No mistakes.";
    box.append(well);
  }
  box.append(list);
}

function showTrades(data, said) {
  const { trades } = data;
  data.marks = [{ label: "trade", total: trades.entry_ts.length, row: trades.entry_ts.map((_, at) => at), x: trades.entry_ts, y: trades.entry_price, end_x: trades.exit_ts, end_y: trades.exit_price, value: trades.pnl, side: trades.side }];
  said.textContent = `${trades.entry_ts.length} trades on the last ${data.x.length} ${data.timeframe} bars`;
}

// What a screen says of every symbol at its last bar; one that is clicked is drawn.
function showTickers(data, said, symbol) {
  said.textContent = `${data.passed_count} of ${data.judged}${data.judged < data.symbols ? ` (of ${data.symbols})` : ""} pass`;
  const body = document.querySelector("#preview-rows tbody");
  body?.replaceChildren(...data.tickers.map((each) => {
    const row = document.createElement("tr");
    row.classList.toggle("muted", !each.passed);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet name";
    button.textContent = each.ticker;
    button.addEventListener("click", () => {
      symbol.value = each.ticker;
      symbol.dispatchEvent(new Event("change"));
    });
    row.insertCell().append(button);
    [each.score ?? "–", each.class || (each.passed ? "passed" : "–"), each.reasons.join("; ")].forEach((text, at) => {
      const cell = row.insertCell();
      cell.textContent = text;
      if (!at) cell.className = "num";
    });
    return row;
  }));
}

// What it does on real bars, drawn again when the text has been at rest for a moment.
function follow(area, symbol) {
  const figure = document.querySelector("[data-preview-chart]");
  const said = document.getElementById("preview-said");
  let timer = 0;
  let turn = 0;
  let chart = null;
  const draw = async () => {
    const mine = ++turn;
    let data;
    try {
      const answer = await fetch(symbol.dataset.preview, { method: "POST", headers, body: new URLSearchParams({ text: area.value, symbol: symbol.value }) });
      data = await answer.json();
    } catch {
      data = { message: "The server cannot be reached just now." };
    }
    if (mine !== turn) return;
    // only a mistake that stands in the text is shown there already
    if (data.message) return void (said.textContent = data.problems?.some((problem) => problem.line) ? "As before, until the mistakes are mended." : data.message);
    if (data.trades) showTrades(data, said);
    else showTickers(data, said, symbol);
    if (!chart) {
      const { TimeChart } = await import("./charts.js");
      chart = new TimeChart(figure, { type: "candles", unit: "price", source: null, beside: [], table: null }, data);
      figure.dataset.ready = "";
    } else {
      chart.put(data);
      chart.chart.timeScale().fitContent();
    }
  };
  area.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(draw, 350);
  });
  symbol.addEventListener("change", draw);
  draw();
}
