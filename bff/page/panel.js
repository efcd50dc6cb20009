/**
 * The sources of one answer, beside it: the cited passages first, under their numbers.
 *
 * Where there is room the panel stands beside the conversation and leaves it
 * usable; on a narrow screen it covers the page until it is closed. Closing gives
 * the focus back to where it was opened from.
 */

import { clone, label, titleOf, withText } from "./elements.js";
import { text } from "./texts.js";
import { Writer } from "./writing.js";

/** The contract's: a passage of this length goes on. */
const SNIPPET_MAX_CHARS = 400;
const WIDE = matchMedia("(min-width: 64rem)");
const panel = document.getElementById("panel");
const list = document.getElementById("panel-list");
let shown = null;
let openedFrom = null;

/**
 * @param {object} owner whose sources they are
 * @param {object[]} sources
 * @param {object[]} citations
 * @param {string | null} chunkId the passage to mark; null: none in particular
 */
export function openPanel(owner, sources, citations, chunkId) {
  if (!panel.contains(document.activeElement)) openedFrom = document.activeElement;
  shown = { owner, sources, citations, chunkId };
  fill();
  if (!panel.open) {
    if (WIDE.matches) panel.show();
    else panel.showModal();
    document.body.classList.toggle("beside", WIDE.matches);
  }
  const marked = list.querySelector("[aria-current]");
  (marked ?? document.getElementById("panel-title")).focus();
  marked?.scrollIntoView({ block: "nearest" });
}

export function closePanel() {
  if (panel.open) panel.close();
}

/** Close it where it shows the sources of this turn, or of any. */
export function closePanelOf(owner) {
  if (shown && (!owner || shown.owner === owner)) closePanel();
}

/** The language has changed, and the turns were made anew. */
export function relabelPanel() {
  label(panel);
  if (shown) fill();
}

function fill() {
  const { sources, citations, chunkId } = shown;
  const numbers = new Map(citations.map(({ chunk_id: id }, index) => [id, index + 1]));
  const cited = sources.filter(({ chunk_id: id }) => numbers.has(id));
  cited.sort((one, other) => numbers.get(one.chunk_id) - numbers.get(other.chunk_id));
  const others = sources.filter(({ chunk_id: id }) => !numbers.has(id));
  const items = cited.map((source) => card(source, numbers.get(source.chunk_id), chunkId));
  if (cited.length && others.length) items.push(withText("li", "divider", text("found.too")));
  items.push(...others.map((source) => card(source, null, chunkId)));
  list.replaceChildren(...items);
}

function card(source, number, chunkId) {
  const item = clone("source");
  const part = (name) => item.querySelector(`.${name}`);
  const current = source.chunk_id === chunkId;
  item.dataset.chunkId = source.chunk_id;
  part("number").textContent = number ?? "";
  part("number").hidden = number === null;
  part("title").append(titleOf(source));
  const passage = document.createElement(number !== null && current ? "mark" : "span");
  const writer = new Writer(passage);
  const snippet = source.snippet.trimEnd();
  writer.write(snippet);
  if (Array.from(source.snippet).length >= SNIPPET_MAX_CHARS) writer.write(snippet === source.snippet ? "…" : " …");
  writer.end();
  part("snippet").append(passage);
  part("kind").hidden = number === null || !current;
  if (current) item.ariaCurrent = "true";
  return item;
}

panel.addEventListener("close", () => {
  document.body.classList.remove("beside");
  shown = null;
  // Of a turn that was made anew in another language nothing is there any more.
  (openedFrom?.isConnected ? openedFrom : document.getElementById("ask")).focus();
  openedFrom = null;
});

panel.addEventListener("keydown", (event) => {
  // A dialog that is not modal does not close by itself.
  if (event.key === "Escape" && !panel.matches(":modal")) {
    event.stopPropagation();
    closePanel();
  }
});

document.getElementById("panel-close").addEventListener("click", closePanel);

// A panel that stands beside the page has no place on a screen that became narrow, and the reverse.
WIDE.addEventListener("change", closePanel);
