/**
 * The chat page: the question box, the keyboard, and one answer at a time.
 *
 * Enter sends, Shift+Enter makes a new line, Escape or the button stops. Stopping
 * closes the connection, and that is how the server learns of it.
 */

import { ask } from "./ask.js";
import { Conversation, countChars, MESSAGE_MAX_CHARS } from "./conversation.js";
import { texts } from "./texts.js";
import { Turn } from "./turn.js";

/** The count appears when it begins to matter. */
const COUNT_FROM_CHARS = 3500;
/** A reader this near to the end of the page is following the answer. */
const FOLLOW_WITHIN_PX = 96;

const page = Object.fromEntries(
  ["conversation", "welcome", "composer", "growing", "question", "count", "stop", "send", "status"].map(
    (id) => [id, document.getElementById(id)],
  ),
);
const conversation = new Conversation();
/** The running call's AbortController; null when the next question may be sent. */
let running = null;

function questionText() {
  return page.question.value.trim();
}

function maySend() {
  const chars = countChars(questionText());
  return running === null && chars > 0 && chars <= MESSAGE_MAX_CHARS;
}

function refreshComposer() {
  const chars = countChars(questionText());
  // The box grows with a copy of its text (page.css), so that no script has to measure it.
  page.growing.dataset.text = page.question.value;
  page.count.textContent = texts.count(chars, MESSAGE_MAX_CHARS);
  page.count.hidden = chars < COUNT_FROM_CHARS;
  page.composer.classList.toggle("too-long", chars > MESSAGE_MAX_CHARS);
  page.question.setAttribute("aria-invalid", String(chars > MESSAGE_MAX_CHARS));
  page.send.disabled = !maySend();
  page.stop.hidden = running === null;
}

function keepInView(change) {
  const root = document.documentElement;
  const following = root.scrollHeight - root.scrollTop - root.clientHeight < FOLLOW_WITHIN_PX;
  change();
  if (following) root.scrollTop = root.scrollHeight;
}

async function answer(question) {
  const call = new AbortController();
  const turn = new Turn(question);
  running = call;
  page.welcome.hidden = true;
  page.conversation.append(turn.element);
  document.documentElement.scrollTop = document.documentElement.scrollHeight;
  page.status.textContent = turn.announcement;
  try {
    for await (const event of ask(conversation.requestBody(question), call.signal)) {
      keepInView(() => turn.show(event));
      if (turn.announcement) page.status.textContent = turn.announcement;
      if (event.name !== "done") continue;
      if (event.data.status === "ok") conversation.remember(question, turn.text);
      release(call);
    }
  } finally {
    release(call);
  }
}

/** The next question may be sent as soon as this one is done; the connection may take longer to close. */
function release(call) {
  if (running !== call) return;
  running = null;
  refreshComposer();
}

function send() {
  if (!maySend()) return;
  const question = questionText();
  page.question.value = "";
  answer(question);
  refreshComposer();
  // A touch keyboard would hide the answer; a real one should stay where it is.
  if (matchMedia("(pointer: coarse)").matches) page.question.blur();
  else page.question.focus();
}

function stop() {
  running?.abort();
  page.question.focus();
}

/** Enter and Escape also end the composing of Korean, Japanese and Chinese text; 229 is how Safari says so. */
function isComposing(event) {
  return event.isComposing || event.keyCode === 229;
}

page.composer.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});

page.question.addEventListener("input", refreshComposer);

page.question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
  event.preventDefault();
  send();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running && !isComposing(event)) stop();
});

page.stop.addEventListener("click", stop);

refreshComposer();
page.question.focus();
