/**
 * Every text of the page, in every language, one row each.
 *
 * The rows `message.*`, by the contract's `message_key`, are the fixed texts of
 * fallbacks; `title.*` and `next.*` stand above and below them. `{0}` is the
 * first value. Where a number decides the form, a row has the forms' names from
 * the browser's own plural rules. No DOM, no network.
 */

import { inBrowser } from "./storage.js";

export const TABLE = {
  "app": { en: "Ask the documents", ko: "문서에 질문하기" },
  "skip": { en: "Skip to the question box", ko: "질문 입력란으로 건너뛰기" },
  "new": { en: "New conversation", ko: "새 대화" },
  "history": { en: "History", ko: "대화 기록" },
  "language": { en: "Language", ko: "언어" },
  "key": { en: "Change key", ko: "키 변경" },

  "welcome.title": { en: "What would you like to know?", ko: "무엇이 궁금하신가요?" },
  "welcome.text": {
    en: "Answers come only from the documents indexed here, and each one names the passages it rests on. When nothing in them fits your question, you are told so.",
    ko: "답변은 여기에 색인된 문서에서만 나오며, 근거가 된 구절을 함께 보여 줍니다. 질문에 맞는 내용이 없으면 없다고 알려 드립니다.",
  },
  "ask": { en: "Ask a question", ko: "질문을 입력하세요" },
  "question": { en: "Your question", ko: "질문" },
  "send": { en: "Send", ko: "보내기" },
  "stop": { en: "Stop", ko: "중지" },
  "keys": { en: "Enter sends · Shift+Enter new line · Esc stops", ko: "Enter 보내기 · Shift+Enter 줄바꿈 · Esc 중지" },
  "count": { en: "{0} / {1}", ko: "{0} / {1}" },

  "searching": { en: "Searching the documents", ko: "문서를 검색하는 중" },
  "reading": {
    en: { one: "Reading {0} passage", other: "Reading {0} passages" },
    ko: "구절 {0}개를 읽는 중",
  },
  "writing": { en: "Writing the answer", ko: "답변을 작성하는 중" },
  "answered": {
    en: { one: "Answer ready, {0} source cited.", other: "Answer ready, {0} sources cited." },
    ko: "답변이 준비되었습니다. 인용된 출처 {0}개.",
  },
  "stopped": { en: "Stopped. There is no answer.", ko: "중지했습니다. 답변이 없습니다." },
  "stopped.midway": { en: "Stopped. This answer is incomplete.", ko: "중지했습니다. 이 답변은 완성되지 않았습니다." },
  "withdrawn": {
    en: "The text that stood here was withdrawn: it could not be completed and proved.",
    ko: "여기에 있던 답변은 철회되었습니다. 끝까지 작성하고 검증하지 못했기 때문입니다.",
  },

  "message.sources": {
    en: "The answer is not in the documents that were searched. Try asking in other words.",
    ko: "검색한 문서에서 답을 찾지 못했습니다. 다른 표현으로 질문해 보세요.",
  },
  "message.busy": {
    en: "The service is busy or a part of it is not available. Please try again in a moment.",
    ko: "서비스가 혼잡하거나 일부를 사용할 수 없습니다. 잠시 후 다시 시도해 주세요.",
  },
  "message.unverified": {
    en: "No answer could be produced whose sources can be verified. Please try again.",
    ko: "출처를 확인할 수 있는 답변을 만들지 못했습니다. 다시 시도해 주세요.",
  },
  "message.request": {
    en: "This request cannot be served as it is.",
    ko: "이 요청은 그대로 처리할 수 없습니다.",
  },
  "title.sources": { en: "Not in the documents", ko: "문서에 없는 내용입니다" },
  "title.busy": { en: "Busy just now", ko: "지금은 혼잡합니다" },
  "title.unverified": { en: "No answer that can be verified", ko: "확인된 답변이 없습니다" },
  "title.request": { en: "This cannot be answered", ko: "답변할 수 없는 요청입니다" },
  "next.sources": {
    en: "Name the thing you are asking about as the documents would.",
    ko: "문서에서 쓸 법한 용어로 바꿔 물어보세요.",
  },
  "next.look": { en: "Or look through what was searched, below.", ko: "또는 아래에서 검색된 구절을 살펴보세요." },
  "next.busy": {
    en: "Your question is kept. Nothing needs to be typed again.",
    ko: "질문은 그대로 남아 있으니 다시 입력하지 않아도 됩니다.",
  },
  "next.unverified": {
    en: "Trying again often helps; so does a narrower question.",
    ko: "다시 시도하거나 질문의 범위를 좁혀 보세요.",
  },
  "next.request": {
    en: "Trying again will not help. Change the question, or begin a new conversation.",
    ko: "다시 시도해도 결과는 같습니다. 질문을 바꾸거나 새 대화를 시작하세요.",
  },
  "next.key": { en: "A key that is accepted here is needed.", ko: "이곳에서 사용할 수 있는 키가 필요합니다." },
  "next.gone": {
    en: "The conversation is no longer kept. Begin a new one.",
    ko: "이 대화는 더 이상 보관되어 있지 않습니다. 새 대화를 시작하세요.",
  },

  "retry": { en: "Try again", ko: "다시 시도" },
  "retry.in": { en: "Try again in {0} s", ko: "{0}초 후 다시 시도" },
  "rephrase": { en: "Change the question", ko: "질문 바꾸기" },
  "copy": { en: "Copy answer", ko: "답변 복사" },
  "copied": { en: "Copied", ko: "복사했습니다" },
  "copy.failed": { en: "Copying is not possible here", ko: "여기서는 복사할 수 없습니다" },
  "again": { en: "Ask again", ko: "다시 질문" },
  "up": { en: "Helpful", ko: "도움이 됨" },
  "down": { en: "Not helpful", ko: "도움이 안 됨" },
  "thanks": { en: "Thank you, your feedback is kept.", ko: "의견을 남겨 주셔서 고맙습니다." },
  "feedback.failed": { en: "The feedback could not be kept.", ko: "의견을 저장하지 못했습니다." },
  "comment": { en: "What was wrong? (optional)", ko: "무엇이 잘못되었나요? (선택)" },
  "comment.send": { en: "Send feedback", ko: "의견 보내기" },
  "details": { en: "Request details", ko: "요청 정보" },
  "request": { en: "Request", ko: "요청" },
  "reason": { en: "Reason", ko: "이유" },
  "model": { en: "Model", ko: "모델" },
  "copy.request": { en: "Copy request id", ko: "요청 번호 복사" },

  "sources": { en: "Sources", ko: "출처" },
  "sources.count": { en: { one: "{0} source", other: "{0} sources" }, ko: "출처 {0}개" },
  "searched": {
    en: { one: "What was searched: {0} passage", other: "What was searched: {0} passages" },
    ko: "검색된 구절 {0}개",
  },
  "cited": { en: "Source {0}: {1}", ko: "출처 {0}: {1}" },
  "cited.passage": { en: "Cited passage", ko: "인용된 구절" },
  "cited.list": { en: "Cited sources", ko: "인용된 출처" },
  "found.too": { en: "Also found, not cited", ko: "함께 검색됨 (인용되지 않음)" },
  "untitled": { en: "Untitled passage", ko: "제목 없는 구절" },
  "new.tab": { en: "opens in a new tab", ko: "새 탭에서 열림" },
  "close": { en: "Close", ko: "닫기" },

  "history.empty": { en: "No conversations in this browser yet.", ko: "이 브라우저에 저장된 대화가 없습니다." },
  "history.note": {
    en: "Listed in this browser only; the conversations themselves are kept by the server.",
    ko: "목록은 이 브라우저에만 있으며, 대화 내용은 서버에 보관됩니다.",
  },
  "history.delete": { en: "Delete: {0}", ko: "삭제: {0}" },
  "history.deleted": { en: "The conversation was deleted.", ko: "대화를 삭제했습니다." },
  "history.failed": { en: "The conversation could not be deleted. Please try again.", ko: "대화를 삭제하지 못했습니다. 다시 시도해 주세요." },
  "history.opened": { en: "Conversation opened.", ko: "대화를 열었습니다." },
  "history.gone": { en: "This conversation is no longer kept by the server.", ko: "이 대화는 서버에 더 이상 보관되어 있지 않습니다." },
  "history.unread": { en: "The conversation could not be read. Please try again.", ko: "대화를 불러오지 못했습니다. 다시 시도해 주세요." },

  "key.title": { en: "A key is needed", ko: "키가 필요합니다" },
  "key.text": {
    en: "This service answers only those who have a key. It is kept until this tab is closed, and sent to this server only.",
    ko: "이 서비스는 키가 있어야 사용할 수 있습니다. 키는 이 탭을 닫을 때까지만 보관되며 이 서버로만 전송됩니다.",
  },
  "key.wrong": { en: "This key is not accepted.", ko: "사용할 수 없는 키입니다." },
  "key.label": { en: "Key", ko: "키" },
  "key.use": { en: "Continue", ko: "계속" },
  "cancel": { en: "Cancel", ko: "취소" },

  "offline": { en: "The server cannot be reached. Looking for it…", ko: "서버에 연결할 수 없습니다. 다시 연결하는 중…" },
  "online": { en: "The server is back.", ko: "서버에 다시 연결되었습니다." },
};

/** The languages, each under the name it calls itself. */
export const LANGUAGES = { en: "English", ko: "한국어" };

const STORED_AS = "language";
let language = chosen();
let plurals = new Intl.PluralRules(language);

/** The text of a row, with its values. The first value decides the form where there are several. */
export function text(name, ...values) {
  const row = TABLE[name][language];
  const form = typeof row === "string" ? row : (row[plurals.select(values[0])] ?? row.other);
  return form.replace(/\{(\d)\}/g, (_, index) => shown(values[index]));
}

export function currentLanguage() {
  return language;
}

/** From now on, and for this browser's next visits. */
export function speak(code) {
  language = code;
  plurals = new Intl.PluralRules(code);
  inBrowser.set(STORED_AS, code);
}

function shown(value) {
  return typeof value === "number" ? value.toLocaleString(language) : String(value);
}

function chosen() {
  const wanted = [inBrowser.get(STORED_AS), ...navigator.languages].map((code) => String(code).split("-")[0]);
  return wanted.find((code) => Object.hasOwn(LANGUAGES, code)) ?? "en";
}
