/**
 * After a connection broke: look for the server until it answers, and say so.
 *
 * One look at a time, at most every five seconds; nothing is asked again by
 * itself, since the question is the reader's.
 */

import { text } from "./texts.js";

const FIRST_PAUSE_MS = 500;
const PAUSE_MAX_MS = 5_000;
const LOOK_MAX_MS = 3_000;
const banner = document.getElementById("offline");
let looking = false;

/** @param {(said: string) => void} announce */
export async function watchServer(announce) {
  if (looking) return;
  looking = true;
  for (let pause = FIRST_PAUSE_MS; !(await answers()); pause = Math.min(pause * 2, PAUSE_MAX_MS)) {
    if (banner.hidden) announce(text("offline"));
    banner.hidden = false;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  if (!banner.hidden) announce(text("online"));
  banner.hidden = true;
  looking = false;
}

async function answers() {
  try {
    const response = await fetch("health", { signal: AbortSignal.timeout(LOOK_MAX_MS) });
    return response.ok;
  } catch {
    return false;
  }
}
