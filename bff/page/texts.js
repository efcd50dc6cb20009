/**
 * Every text that the scripts put on the page.
 *
 * A fallback's text is the server's. Those under `messages`, by the contract's
 * `message_key`, are the same fixed texts, for the failures in which no server
 * spoke.
 */

export const texts = {
  messages: {
    busy: "The service is busy or a part of it is not available. Please try again in a moment.",
  },
  searching: "Searching the documents",
  reading: (count) => (count === 1 ? "Reading 1 passage" : `Reading ${count} passages`),
  writing: "Writing the answer",
  answered: (count) => (count === 1 ? "Answer ready, 1 source cited." : `Answer ready, ${count} sources cited.`),
  stopped: "Stopped. There is no answer.",
  stoppedMidway: "Stopped. This answer is incomplete.",
  withdrawn: "The part of an answer that stood here was withdrawn, because it could not be completed and proved.",
  untitled: "Untitled passage",
  cited: (number, title) => `Source ${number}: ${title}`,
  sources: (count) => `Sources (${count})`,
  searched: (count) => `What was searched (${count})`,
  request: "Request",
  count: (chars, limit) => `${chars.toLocaleString("en")} / ${limit.toLocaleString("en")}`,
};
