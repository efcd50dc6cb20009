/**
 * One question and its answer, on the page.
 *
 * `show` takes the answer's events one by one; a kept turn, and a turn in
 * another language, are the same events shown again. What the reader then wants
 * of it is told to `wishes`.
 */

import { clone, copied, withText } from "./elements.js";
import { MarkerSplitter, numbered } from "./markers.js";
import { closePanelOf, openPanel } from "./panel.js";
import { text } from "./texts.js";
import { Writer } from "./writing.js";

let turnsShown = 0;

const PARTS = [
  "question", "answer", "progress", "text", "withdrawn", "notice", "notice-title", "notice-text", "notice-next",
  "retry", "rephrase", "anew", "searched", "searched-title", "searched-list", "citations", "bar", "copy", "again",
  "up", "down", "open", "request", "trace", "comment", "said",
];

/**
 * @typedef {object} Wishes
 * @property {(question: string) => void} ask
 * @property {(question: string) => void} edit
 * @property {() => void} begin a new conversation
 * @property {(requestId: string, rating: string, comment?: string) => Promise<boolean>} rate
 * @property {(said: string) => void} announce
 */

export class Turn {
  #parts;
  #wishes;
  #splitter = new MarkerSplitter();
  #writer;
  #written = "";
  #sources = [];
  #citations = [];
  #meta = null;
  #error = null;
  #done = null;
  #events = [];
  #feedback = null;
  #timer = null;
  /** What the panel knows it by, in every language. */
  #self;

  /** What a screen reader should be told now; null while there is nothing new to say. */
  announcement = text("searching");

  /**
   * @param {string} question
   * @param {Wishes} wishes
   * @param {object} self
   */
  constructor(question, wishes, self = {}) {
    this.question = question;
    this.#wishes = wishes;
    this.#self = self;
    this.element = clone("turn");
    this.#parts = Object.fromEntries(PARTS.map((name) => [name, this.element.querySelector(`.${name}`)]));
    this.#writer = new Writer(this.#parts.text);
    turnsShown += 1;
    this.#parts.question.id = `question-${turnsShown}`;
    this.#parts.question.textContent = question;
    this.element.setAttribute("aria-labelledby", this.#parts.question.id);
    this.#parts.progress.textContent = text("searching");
    this.#listen();
  }

  /** The answer so far, markers included; empty once it is withdrawn. */
  get text() {
    return this.#written;
  }

  /**
   * @param {{name: string, data: object}} event
   * @param {number} at when it came
   */
  show(event, at = performance.now()) {
    const { name, data } = event;
    this.#events.push([event, at]);
    this.announcement = null;
    if (name === "meta") this.#meta = data;
    if (name === "sources") this.#showSources(data.sources);
    if (name === "citations") this.#citations = data.citations;
    if (name === "delta") this.#showDelta(data.delta);
    if (name === "error") this.#showError(data);
    if (name === "done") this.#showDone(data, at);
  }

  /** What the reader thought of it, as the server keeps it. */
  rated(feedback) {
    this.#feedback = feedback;
    for (const rating of ["up", "down"]) {
      this.#parts[rating].ariaPressed = String(feedback?.rating === rating);
    }
  }

  /** The same turn in the language of now, in this one's place. */
  renewed() {
    const turn = new Turn(this.question, this.#wishes, this.#self);
    for (const [event, at] of this.#events) turn.show(event, at);
    turn.rated(this.#feedback);
    this.element.replaceWith(turn.element);
    clearInterval(this.#timer);
    return turn;
  }

  #showSources(sources) {
    this.#sources = sources;
    if (sources.length) this.#progress(text("reading", sources.length));
  }

  #showDelta(delta) {
    if (this.#written === "") {
      this.#progress(text("writing"));
      this.#parts.progress.hidden = true;
      this.#parts.text.hidden = false;
    }
    this.#written += delta;
    this.#append(this.#splitter.feed(delta));
  }

  #showError(data) {
    this.#error = data;
    if (data.discard) this.#withdraw();
  }

  #showDone(data, at) {
    this.#done = data;
    this.#append(this.#splitter.finish());
    this.#writer.end();
    this.#parts.answer.dataset.status = data.status;
    this.#parts.answer.ariaBusy = "false";
    this.#parts.progress.hidden = true;
    if (data.status === "ok") this.#finishAnswer();
    else if (data.status === "stopped") this.#sayStopped();
    else this.#explain(at);
    this.#showBar();
  }

  #finishAnswer() {
    const chips = this.#citations.map((citation, index) => {
      const item = document.createElement("li");
      item.append(this.#chip(citation, index, true));
      return item;
    });
    this.#parts.citations.replaceChildren(...chips);
    this.#parts.citations.hidden = chips.length === 0;
    this.announcement = text("answered", chips.length);
  }

  #withdraw() {
    closePanelOf(this.#self);
    this.#splitter = new MarkerSplitter();
    this.#writer = new Writer(this.#parts.text);
    this.#written = "";
    this.#citations = [];
    this.#parts.text.replaceChildren();
    this.#parts.text.hidden = true;
    this.#parts.withdrawn.hidden = false;
  }

  #sayStopped() {
    const said = text(this.#written ? "stopped.midway" : "stopped");
    this.#parts.said.textContent = said;
    this.announcement = said;
  }

  /** What went wrong, what to do next, and what was searched. */
  #explain(at) {
    const key = this.#error.message_key;
    const parts = this.#parts;
    parts.notice.hidden = false;
    parts.notice.dataset.key = key;
    parts["notice-title"].textContent = text(`title.${key}`);
    parts["notice-text"].textContent = text(`message.${key}`);
    const next = [text(`next.${NEXT_BY_CODE[this.#error.code] ?? key}`)];
    if (key === "sources" && this.#sources.length) next.push(text("next.look"));
    parts["notice-next"].textContent = next.join(" ");
    parts.retry.hidden = key === "sources" || (key === "request" && this.#error.code !== "INPUT_UNAUTHORIZED");
    parts.rephrase.hidden = key === "busy";
    parts.anew.hidden = key !== "request";
    if (!parts.retry.hidden) this.#countDown(at + (this.#done.retry_after_ms ?? 0));
    this.#listSearched();
    const withdrawn = parts.withdrawn.hidden ? "" : parts.withdrawn.textContent.trim();
    this.announcement = [withdrawn, text(`title.${key}`), text(`message.${key}`)].join(" ").trim();
  }

  /** The button says how long to wait, and cannot be pressed until then; it keeps the focus. */
  #countDown(until) {
    const { retry } = this.#parts;
    const tick = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      retry.ariaDisabled = String(left > 0);
      retry.lastElementChild.textContent = left > 0 ? text("retry.in", left) : text("retry");
      if (left <= 0) clearInterval(this.#timer);
    };
    this.#timer = setInterval(tick, 200);
    tick();
  }

  #listSearched() {
    const items = this.#sources.map((source) => {
      const item = document.createElement("li");
      const button = withText("button", "found", source.title ?? text("untitled"));
      button.type = "button";
      button.dir = "auto";
      button.addEventListener("click", () => this.#open(source.chunk_id));
      item.append(button);
      return item;
    });
    this.#parts["searched-title"].textContent = text("searched", items.length);
    this.#parts["searched-list"].replaceChildren(...items);
    this.#parts.searched.hidden = items.length === 0;
  }

  #showBar() {
    const { bar, copy, up, down, open, request, trace } = this.#parts;
    const { status, reason_code: code, model } = this.#done;
    bar.hidden = false;
    copy.hidden = this.#written === "";
    const kept = Boolean(this.#meta?.request_id && this.#meta.session_id) && status !== "stopped";
    up.hidden = down.hidden = !kept;
    open.hidden = status !== "ok" || this.#sources.length === 0;
    open.lastElementChild.textContent = text("sources.count", this.#sources.length);
    this.#parts.again.hidden = status !== "ok" && status !== "stopped";
    const rows = { request: this.#meta?.request_id, reason: code, model };
    const known = Object.entries(rows).filter(([, value]) => value);
    const list = trace.querySelector("dl");
    list.replaceChildren(
      ...known.flatMap(([name, value]) => [withText("dt", "", text(name)), withText("dd", "", value)]),
    );
    request.hidden = known.length === 0;
    trace.querySelector("button").hidden = !this.#meta?.request_id;
  }

  #progress(said) {
    this.#parts.progress.textContent = said;
    this.announcement = said;
  }

  #append(pieces) {
    for (const { text: piece, marker } of pieces) {
      const index = this.#citations.findIndex((citation) => citation.marker === marker);
      const placed = index >= 0 && this.#writer.place(this.#chip(this.#citations[index], index, false));
      if (!placed) this.#writer.write(piece);
    }
  }

  /** A citation's number, with its title written out or as its name; it leads to the passage. */
  #chip(citation, index, withTitle) {
    const chip = document.createElement("button");
    const title = citation.title ?? text("untitled");
    chip.type = "button";
    chip.className = withTitle ? "chip chip-titled" : "chip";
    chip.title = title;
    chip.append(withText("span", "number", String(index + 1)));
    if (withTitle) chip.append(" ", withText("bdi", "chip-title", title));
    else chip.setAttribute("aria-label", text("cited", index + 1, title));
    chip.addEventListener("click", () => this.#open(citation.chunk_id));
    return chip;
  }

  #open(chunkId) {
    openPanel(this.#self, this.#sources, this.#citations, chunkId);
  }

  #listen() {
    const { retry, rephrase, anew, again, copy, open, request, up, down, comment, trace } = this.#parts;
    retry.addEventListener("click", () => {
      if (retry.ariaDisabled !== "true") this.#wishes.ask(this.question);
    });
    again.addEventListener("click", () => this.#wishes.ask(this.question));
    rephrase.addEventListener("click", () => this.#wishes.edit(this.question));
    anew.addEventListener("click", () => this.#wishes.begin());
    open.addEventListener("click", () => this.#open(null));
    copy.addEventListener("click", () => this.#copy(numbered(this.#written, this.#citations)));
    request.addEventListener("click", () => {
      trace.hidden = !trace.hidden;
      request.ariaExpanded = String(!trace.hidden);
    });
    trace.querySelector("button").addEventListener("click", () => this.#copy(this.#meta.request_id));
    up.addEventListener("click", () => this.#rate("up"));
    down.addEventListener("click", () => this.#rate("down"));
    comment.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#rate("down", comment.querySelector("textarea").value.trim());
    });
  }

  async #copy(content) {
    this.#tell(text((await copied(content)) ? "copied" : "copy.failed"));
  }

  async #rate(rating, comment = "") {
    const kept = await this.#wishes.rate(this.#meta.request_id, rating, comment);
    if (kept) this.rated({ rating, comment });
    const asks = kept && rating === "down" && !comment;
    this.#parts.comment.hidden = !asks;
    if (asks) this.#parts.comment.querySelector("textarea").focus();
    else if (comment) this.#parts.down.focus(); // the form that had the focus is hidden
    this.#tell(text(kept ? "thanks" : "feedback.failed"));
  }

  #tell(said) {
    this.#parts.said.textContent = said;
    this.#wishes.announce(said);
  }
}

/** Codes whose next step is another than their message's. */
const NEXT_BY_CODE = { INPUT_UNAUTHORIZED: "key", INPUT_NOT_FOUND: "gone" };
