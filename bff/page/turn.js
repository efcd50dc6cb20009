/**
 * One question and its answer, on the page.
 *
 * `show` takes the answer's events one by one. Whatever a server or a model wrote
 * becomes text nodes: this file never parses markup, and makes a link only of
 * a source's own http or https url.
 */

import { MarkerSplitter } from "./markers.js";
import { texts } from "./texts.js";

let turnsShown = 0;

export class Turn {
  #parts;
  #splitter = new MarkerSplitter();
  #text = "";
  #sources = [];
  #citations = [];
  #requestId = null;
  #error = null;

  /** What a screen reader should be told now; null while there is nothing new to say. */
  announcement = texts.searching;

  /** @param {string} question */
  constructor(question) {
    this.element = clone("turn");
    const part = (name) => this.element.querySelector(`.${name}`);
    const names = ["answer", "progress", "text", "notice", "aside", "citations", "sources", "trace"];
    this.#parts = Object.fromEntries(names.map((name) => [name, part(name)]));
    const heading = part("question");
    turnsShown += 1;
    heading.id = `question-${turnsShown}`;
    heading.textContent = question;
    this.element.setAttribute("aria-labelledby", heading.id);
    this.#parts.progress.textContent = texts.searching;
  }

  /** The answer so far, markers included; empty once it is withdrawn. */
  get text() {
    return this.#text;
  }

  /** @param {{name: string, data: object}} event */
  show({ name, data }) {
    this.announcement = null;
    if (name === "meta") this.#requestId = data.request_id;
    if (name === "sources") this.#showSources(data.sources);
    if (name === "citations") this.#showCitations(data.citations);
    if (name === "delta") this.#showDelta(data.delta);
    if (name === "error") this.#showError(data);
    if (name === "done") this.#showDone(data);
  }

  #showSources(sources) {
    this.#sources = sources;
    if (sources.length) this.#progress(texts.reading(sources.length));
  }

  #showCitations(citations) {
    this.#citations = citations;
    this.#fillSources(texts.sources);
  }

  #showDelta(text) {
    if (this.#text === "") {
      this.#progress(texts.writing);
      this.#parts.progress.hidden = true;
      this.#parts.text.hidden = false;
    }
    this.#text += text;
    this.#append(this.#splitter.feed(text));
  }

  #showError(data) {
    this.#error = data;
    if (data.discard) this.#withdraw();
  }

  #showDone({ status, reason_code: code }) {
    this.#append(this.#splitter.finish());
    this.#parts.answer.dataset.status = status;
    this.#parts.answer.setAttribute("aria-busy", "false");
    this.#parts.progress.hidden = true;
    if (status === "ok") this.#finishAnswer();
    else if (status === "stopped") this.#say(this.#text ? texts.stoppedMidway : texts.stopped);
    else this.#say(this.#error?.message ?? texts.messages.busy);
    // A citation list stands under an answer and under nothing else.
    if (this.#text === "") this.#citations = [];
    this.#fillSources(this.#text ? texts.sources : texts.searched);
    this.#showTrace(code);
  }

  #finishAnswer() {
    const chips = this.#citations.map((citation, index) => {
      const item = document.createElement("li");
      item.append(this.#chip(citation, index, true));
      return item;
    });
    this.#parts.citations.replaceChildren(...chips);
    this.#parts.citations.hidden = chips.length === 0;
    this.announcement = texts.answered(chips.length);
  }

  #withdraw() {
    this.#splitter = new MarkerSplitter();
    this.#text = "";
    this.#parts.text.replaceChildren();
    this.#parts.text.hidden = true;
    this.#parts.aside.textContent = texts.withdrawn;
    this.#parts.aside.hidden = false;
  }

  #progress(text) {
    this.#parts.progress.textContent = text;
    this.announcement = text;
  }

  #say(message) {
    this.#parts.notice.textContent = message;
    this.#parts.notice.hidden = false;
    this.announcement = [message, this.#parts.aside.textContent].join(" ").trim();
  }

  #append(pieces) {
    const { text: place } = this.#parts;
    for (const piece of pieces) {
      const index = this.#citations.findIndex(({ marker }) => marker === piece.marker);
      if (index >= 0) place.append(this.#chip(this.#citations[index], index, false));
      else if (place.lastChild instanceof Text) place.lastChild.appendData(piece.text);
      else place.append(piece.text);
    }
  }

  /** A citation's number, with its title written out or as its name; it leads to the passage. */
  #chip(citation, index, withTitle) {
    const chip = document.createElement("button");
    const title = citation.title ?? texts.untitled;
    chip.type = "button";
    chip.className = withTitle ? "chip chip-titled" : "chip";
    chip.title = title;
    chip.append(withText("span", "number", String(index + 1)));
    if (withTitle) chip.append(" ", withText("span", "chip-title", title));
    else chip.setAttribute("aria-label", texts.cited(index + 1, title));
    chip.addEventListener("click", () => this.#openSource(citation.chunk_id));
    return chip;
  }

  #openSource(chunkId) {
    const { sources } = this.#parts;
    sources.open = true;
    for (const item of sources.querySelectorAll(".source")) {
      if (item.dataset.chunkId === chunkId) item.focus();
    }
  }

  /** All that was found: the cited passages first, under their numbers. */
  #fillSources(summary) {
    const { sources: place } = this.#parts;
    const numbers = new Map(this.#citations.map(({ chunk_id: id }, index) => [id, index + 1]));
    const rank = ({ chunk_id: id }) => numbers.get(id) ?? numbers.size + 1;
    const ordered = [...this.#sources].sort((one, other) => rank(one) - rank(other));
    const items = ordered.map((source) => sourceItem(source, numbers.get(source.chunk_id)));
    place.querySelector("summary").textContent = summary(items.length);
    place.querySelector("ol").replaceChildren(...items);
    place.hidden = items.length === 0;
  }

  /** What an operator asks for first: which request it was, and why it failed. */
  #showTrace(code) {
    const { trace } = this.#parts;
    if (this.#requestId) trace.append(`${texts.request} `, withText("code", "", this.#requestId));
    if (code) trace.append(this.#requestId ? " · " : "", withText("code", "", code));
    trace.hidden = !trace.hasChildNodes();
  }
}

function sourceItem(source, number) {
  const item = clone("source");
  item.dataset.chunkId = source.chunk_id;
  item.classList.toggle("source-cited", number !== undefined);
  item.querySelector(".number").textContent = number ?? "";
  item.querySelector(".title").append(titleOf(source));
  item.querySelector(".snippet").textContent = source.snippet;
  return item;
}

function titleOf({ title, url }) {
  const text = title ?? texts.untitled;
  if (!isWebUrl(url)) return text;
  const link = withText("a", "", text);
  link.href = url;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

/** Only an absolute http or https url may become a link: anything else could run or reach inward. */
function isWebUrl(url) {
  return URL.canParse(url ?? "") && ["http:", "https:"].includes(new URL(url).protocol);
}

function withText(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}
