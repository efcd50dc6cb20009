/**
 * Elements out of templates and texts.
 *
 * Whatever a server or a model wrote becomes text nodes: nothing of the page
 * parses markup, and only a source's own http or https url becomes a link.
 */

import { text } from "./texts.js";

export function clone(id) {
  const element = document.getElementById(id).content.firstElementChild.cloneNode(true);
  label(element);
  return element;
}

export function withText(tag, className, content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = content;
  return element;
}

/** Write the texts that elements name in `data-text`, `data-label` and `data-placeholder`. */
export function label(root) {
  for (const element of [root, ...root.querySelectorAll("[data-text], [data-label], [data-placeholder]")]) {
    const { text: content, label: name, placeholder } = element.dataset;
    if (content) element.textContent = text(content);
    if (name) {
      element.setAttribute("aria-label", text(name));
      if (element instanceof HTMLButtonElement) element.title = text(name);
    }
    if (placeholder) element.placeholder = text(placeholder);
  }
}

/** A source's title; a link where its url may be followed. */
export function titleOf({ title, url }) {
  const shown = title ?? text("untitled");
  if (!isWebUrl(url)) return shown;
  const link = withText("a", "", shown);
  link.href = new URL(url).href; // what was judged: `https:x` of itself would lead into this server
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.append(" ", withText("span", "away", "↗"), withText("span", "unseen", `(${text("new.tab")})`));
  link.querySelector(".away").ariaHidden = "true";
  return link;
}

/** Only an absolute http or https url may become a link: anything else could run or reach inward. */
export function isWebUrl(url) {
  return URL.canParse(url ?? "") && ["http:", "https:"].includes(new URL(url).protocol);
}

/** Put text on the clipboard; false where the browser does not let us. */
export async function copied(content) {
  try {
    await navigator.clipboard.writeText(content);
    return true;
  } catch {
    return copiedBySelection(content);
  }
}

/** Where the page came over plain http from another machine, there is no clipboard but the old one. */
function copiedBySelection(content) {
  const area = withText("textarea", "unseen", content);
  const before = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus();
  return done;
}
