/**
 * The conversations this browser knows, and which of them this tab is in.
 *
 * The list is in localStorage and holds no more than ids, first questions and
 * times: what was said is the server's to keep. Which conversation is open is the
 * tab's (sessionStorage), so that a reload goes on in it.
 */

import { inBrowser, inTab } from "./storage.js";

const LIST = "conversations";
const OPEN = "conversation";
const LISTED_MAX = 50;
const TITLE_MAX_CHARS = 120;

/** @returns {{id: string, title: string, at: number}[]} the newest first */
export function conversations() {
  try {
    const list = JSON.parse(inBrowser.get(LIST) ?? "[]");
    return list.filter(({ id, title, at }) => typeof id === "string" && typeof title === "string" && at > 0);
  } catch {
    return [];
  }
}

/** A conversation was begun or gone on with; it is titled by its first question. */
export function touch(id, question) {
  const known = conversations();
  const title = known.find((one) => one.id === id)?.title ?? question.slice(0, TITLE_MAX_CHARS);
  keep([{ id, title, at: Date.now() }, ...known.filter((one) => one.id !== id)]);
}

export function forget(id) {
  keep(conversations().filter((one) => one.id !== id));
}

/** @returns {string | null} */
export function openConversation() {
  return inTab.get(OPEN);
}

export function setOpenConversation(id) {
  inTab.set(OPEN, id);
}

function keep(list) {
  inBrowser.set(LIST, JSON.stringify(list.slice(0, LISTED_MAX)));
}
