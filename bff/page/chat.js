/**
 * The chat page: the question box, the keyboard, one answer at a time, and conversations.
 *
 * Enter sends, Shift+Enter makes a new line, Escape or the button stops. Stopping
 * closes the connection, and that is how the server learns of it.
 */

import { ask } from "./ask.js";
import { Conversation, countChars, MESSAGE_MAX_CHARS } from "./conversation.js";
import { label } from "./elements.js";
import { openConversation, setOpenConversation, touch } from "./history.js";
import { onOpen, relabelHistory, stayHere } from "./history_dialog.js";
import { watchServer } from "./offline.js";
import { closePanel, relabelPanel } from "./panel.js";
import { askForKey, call, hasKey } from "./server.js";
import { currentLanguage, LANGUAGES, speak, text } from "./texts.js";
import { Turn } from "./turn.js";

/** The count appears when it begins to matter. */
const COUNT_FROM_CHARS = 3500;
/** A reader this near to the end of the page is following the answer. */
const FOLLOW_WITHIN_PX = 96;

const page = Object.fromEntries(
  ["conversation", "welcome", "composer", "growing", "ask", "count", "stop", "send", "status", "new", "language", "change-key"].map(
    (id) => [id, document.getElementById(id)],
  ),
);
let conversation = new Conversation(openConversation());
/** @type {Turn[]} */
let turns = [];
/** The running call's AbortController; null when the next question may be sent. */
let running = null;

const wishes = {
  ask: (question) => running === null && answer(question),
  edit: (question) => {
    page.ask.value = question;
    refreshComposer();
    page.ask.focus();
    page.ask.select();
  },
  begin: () => begin(),
  rate,
  announce,
};

function announce(said) {
  page.status.textContent = said;
}

function questionText() {
  return page.ask.value.trim();
}

function maySend() {
  const chars = countChars(questionText());
  return running === null && chars > 0 && chars <= MESSAGE_MAX_CHARS;
}

function refreshComposer() {
  const chars = countChars(questionText());
  // The box grows with a copy of its text (page.css), so that no script has to measure it.
  page.growing.dataset.text = page.ask.value;
  page.count.textContent = text("count", chars, MESSAGE_MAX_CHARS);
  page.count.hidden = chars < COUNT_FROM_CHARS;
  page.composer.classList.toggle("too-long", chars > MESSAGE_MAX_CHARS);
  page.ask.setAttribute("aria-invalid", String(chars > MESSAGE_MAX_CHARS));
  page.send.disabled = !maySend();
  page.stop.hidden = running === null;
}

function keepInView(change) {
  const root = document.documentElement;
  const following = root.scrollHeight - root.scrollTop - root.clientHeight < FOLLOW_WITHIN_PX;
  change();
  if (following) root.scrollTop = root.scrollHeight;
}

function add(question) {
  const turn = new Turn(question, wishes);
  turns.push(turn);
  page.welcome.hidden = true;
  page.conversation.append(turn.element);
  return turns.length - 1;
}

async function answer(question) {
  stayHere();
  const control = new AbortController();
  const said = conversation;
  const at = add(question);
  running = control;
  refreshComposer();
  document.documentElement.scrollTop = document.documentElement.scrollHeight;
  announce(turns[at].announcement);
  try {
    for await (const event of ask(said.requestBody(question), control.signal)) {
      if (said !== conversation) continue; // the reader has gone on to another one
      const turn = turns[at]; // another object, once the language has changed
      keepInView(() => turn.show(event));
      if (turn.announcement) announce(turn.announcement);
      if (event.name === "meta") noteSession(event.data.session_id, question);
      if (event.local) watchServer(announce);
      if (event.name !== "done") continue;
      if (event.data.status === "ok") said.remember(question, turn.text);
      release(control);
    }
  } finally {
    release(control);
    page["change-key"].hidden = !hasKey();
  }
}

function noteSession(id, question) {
  if (!id) return;
  conversation.id = id;
  setOpenConversation(id);
  touch(id, question);
}

/** The next question may be sent as soon as this one is done; the connection may take longer to close. */
function release(control) {
  if (running !== control) return;
  running = null;
  refreshComposer();
}

function send() {
  if (!maySend()) return;
  const question = questionText();
  page.ask.value = "";
  answer(question);
  // A touch keyboard would hide the answer; a real one should stay where it is.
  if (matchMedia("(pointer: coarse)").matches) page.ask.blur();
  else page.ask.focus();
}

function stop() {
  running?.abort();
  page.ask.focus();
}

/** Begin a conversation, or go on with one that the server keeps. */
function begin(kept = null) {
  stayHere();
  running?.abort();
  running = null;
  closePanel();
  conversation = new Conversation(kept?.session_id ?? null);
  setOpenConversation(conversation.id);
  for (const turn of turns) turn.element.remove();
  turns = [];
  page.welcome.hidden = false;
  for (const turn of kept?.turns ?? []) showKept(turn);
  refreshComposer();
  document.documentElement.scrollTop = document.documentElement.scrollHeight;
  page.ask.focus();
}

/** A turn that the server kept, as the events it once was. Of one that nobody was answered it has no status. */
function showKept(kept) {
  const turn = turns[add(kept.message.content)];
  const { status, reason_code: code, message_key: key } = kept;
  turn.show({ name: "meta", data: { request_id: kept.request_id, session_id: conversation.id } });
  turn.show({ name: "sources", data: kept });
  turn.show({ name: "citations", data: kept });
  if (status === "ok") turn.show({ name: "delta", data: { delta: kept.answer.content } });
  if (status === "fallback") turn.show({ name: "error", data: { code, message_key: key, discard: false } });
  turn.show({ name: "done", data: { ...kept, status: status ?? "stopped", retry_after_ms: null } });
  turn.rated(kept.feedback);
}

async function rate(requestId, rating, comment) {
  const body = JSON.stringify({ request_id: requestId, rating, ...(comment ? { comment } : {}) });
  const headers = { "content-type": "application/json" };
  const response = await call("feedback", () => ({ method: "POST", headers, body })).catch(() => null);
  return response?.status === 204;
}

function relabel() {
  document.documentElement.lang = currentLanguage();
  document.title = text("app");
  label(document.body);
  turns = turns.map((turn) => turn.renewed());
  relabelPanel();
  relabelHistory();
  refreshComposer();
}

/** Enter and Escape also end the composing of Korean, Japanese and Chinese text; 229 is how Safari says so. */
function isComposing(event) {
  return event.isComposing || event.keyCode === 229;
}

page.composer.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});

page.ask.addEventListener("input", refreshComposer);

page.ask.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
  event.preventDefault();
  send();
});

document.addEventListener("keydown", (event) => {
  const closesDialog = document.querySelector("dialog:modal") !== null;
  if (event.key === "Escape" && running && !closesDialog && !isComposing(event)) stop();
});

page.stop.addEventListener("click", stop);
page.new.addEventListener("click", () => begin());
page["change-key"].addEventListener("click", () => askForKey(false));
page.language.addEventListener("change", () => {
  speak(page.language.value);
  relabel();
});

for (const [code, name] of Object.entries(LANGUAGES)) {
  const option = new Option(name, code);
  option.lang = code;
  page.language.append(option);
}
page.language.value = currentLanguage();
page["change-key"].hidden = !hasKey();
relabel();
onOpen(begin, announce, openConversation());
page.ask.focus();
