"""Goal: the page goes on where a browser keeps nothing, a proxy answers, or an answer comes late.

Method: the page in Chromium over the four processes; what a browser or a proxy does is done to it
below the page: its storage, and what comes back for a call.
"""

import json
from collections.abc import Mapping
from typing import Final

import pytest
from playwright.sync_api import Page, Route, expect  # type: ignore[import-not-found] # its own

from harness.web.conftest import Open
from harness.web.page_driver import Chat
from harness.web.served import ABSTAINING, BUSY, QUESTION, SLOWLY, WITHDRAWN

STORAGES: Final = {
    "forbidden": """for (const name of ['localStorage', 'sessionStorage'])
      Object.defineProperty(window, name, {
        get() { throw new DOMException('', 'SecurityError'); },
      });""",
    "full": """Storage.prototype.setItem = () => {
      throw new DOMException('', 'QuotaExceededError');
    };""",
    "of somebody else": """localStorage.setItem('conversations', '[null, 1, {"id": 5}]');
      localStorage.setItem('language', '{}');""",
}


@pytest.mark.parametrize("script", STORAGES.values(), ids=STORAGES.keys())
def test_browser_that_keeps_nothing_is_served_like_any_other(script: str, chat: Chat) -> None:
    chat.page.add_init_script(script)
    chat.page.reload()
    for _ in range(2):
        chat.answer(QUESTION)
        expect(chat.written).to_be_visible()
    chat.page.get_by_role("button", name="History").click()
    kept = chat.page.get_by_role("dialog", name="History").get_by_role("listitem")
    expect(kept).to_have_count(1)


PROXIES: Final = {
    "a code that is a number": '{"error": {"code": 503, "message": "no healthy upstream"}}',
    "no object": "[]",
    "no JSON": "<h1>502</h1>",
}


@pytest.mark.parametrize("body", PROXIES.values(), ids=PROXIES.keys())
def test_proxys_own_error_is_told_as_a_failure(
    body: str, chat: Chat, complaints: list[str]
) -> None:
    _answering(chat.page, body, status=503, content_type="application/json")
    chat.answer(QUESTION)
    expect(chat.notice).to_be_visible()
    assert chat.details()["Reason"] == "HTTP 503"
    assert all("status of 503" in one for one in complaints), complaints
    complaints.clear()


def test_details_without_a_request_offer_none_to_copy(chat: Chat) -> None:
    _answering(chat.page, "", content_type=STREAM)
    chat.answer(QUESTION)
    assert chat.details() == {"Reason": "HOP_DISCONNECTED"}
    expect(chat.button("Copy request id")).to_be_hidden()


def test_question_asked_before_the_conversation_is_read_is_not_taken_away(chat: Chat) -> None:
    chat.answer(QUESTION)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    chat.page.route("**/sessions/*", hold)
    chat.page.reload()
    session = chat.page.evaluate("sessionStorage.getItem('conversation')")
    with chat.page.expect_request("**/chat?stream=true") as asked:
        chat.ask(f"{QUESTION} {SLOWLY}")
    assert asked.value.post_data_json["session_id"] == session, "it goes on in its conversation"
    expect(chat.written).to_be_visible(timeout=10_000)
    held[0].continue_()
    chat.wait_done()
    expect(chat.turns).to_have_count(1)
    expect(chat.written).to_be_visible()


def test_conversation_that_is_gone_is_begun_anew_after_a_reload(
    chat: Chat, complaints: list[str]
) -> None:
    chat.answer(QUESTION)
    session = chat.page.evaluate("sessionStorage.getItem('conversation')")
    chat.page.evaluate("(id) => fetch(`sessions/${id}`, { method: 'DELETE' })", session)
    with chat.page.expect_response("**/sessions/*"):
        chat.page.reload()
    expect(chat.page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    chat.page.wait_for_function("sessionStorage.getItem('conversation') === null")
    chat.answer(QUESTION)
    expect(chat.written).to_be_visible()
    assert all("status of 404" in one for one in complaints), complaints
    complaints.clear()


def test_focus_stays_in_the_list_when_its_conversation_is_gone(
    chat: Chat, complaints: list[str]
) -> None:
    chat.answer(QUESTION)
    chat.page.route("**/sessions/*", lambda route: route.fulfill(status=404, body="{}"))
    chat.page.get_by_role("button", name="History").click()
    drawer = chat.page.get_by_role("dialog", name="History")
    drawer.get_by_role("button", name=QUESTION, exact=True).press("Enter")
    expect(drawer.get_by_text("no longer kept")).to_be_visible()
    expect(drawer.get_by_role("button", name="Close")).to_be_focused()
    complaints.clear()


def test_focus_goes_back_to_the_thumb_when_the_comment_is_sent(chat: Chat) -> None:
    chat.answer(QUESTION)
    chat.button("Not helpful").click()
    chat.last.get_by_role("textbox").fill("Too long.")
    chat.button("Send feedback").press("Enter")
    expect(chat.last.get_by_role("textbox")).to_be_hidden()
    expect(chat.button("Not helpful")).to_be_focused()


def test_language_changes_nothing_of_a_countdown(chat: Chat) -> None:
    chat.answer(f"{QUESTION} {BUSY}")
    expect(chat.button("Try again in 1 s")).to_be_visible(timeout=5_000)
    chat.page.get_by_label("Language").select_option("ko")
    expect(chat.last.locator(".retry")).to_have_text("1초 후 다시 시도", timeout=100)
    expect(chat.last.locator(".retry")).to_have_text("다시 시도", timeout=1_500)


def test_panel_of_withdrawn_text_closes_in_any_language(chat: Chat) -> None:
    chat.ask(f"{QUESTION} {WITHDRAWN}")
    expect(chat.written).to_be_visible(timeout=10_000)
    chat.written.get_by_role("button").first.click(timeout=1_000)
    expect(chat.panel).to_be_visible()
    chat.page.get_by_label("Language").select_option("ko")
    chat.wait_done()
    expect(chat.panel).to_be_hidden()


def test_nothing_that_was_searched_is_named_where_nothing_was_found(chat: Chat) -> None:
    look = "look through what was searched, below"
    chat.answer(f"{QUESTION} {ABSTAINING}")
    expect(chat.notice).to_contain_text(look)
    code = {"code": "RAG_NO_CHUNKS", "message": "", "message_key": "sources", "discard": False}
    done = {**DONE, "status": "fallback", "reason_code": "RAG_NO_CHUNKS"}
    _answering(chat.page, _told(META, ("error", code), ("done", done)), content_type=STREAM)
    chat.answer(QUESTION)
    expect(chat.notice).to_contain_text("as the documents would.")
    expect(chat.notice).not_to_contain_text(look)


def test_nothing_moves_where_the_reader_wants_no_motion(open_page: Open) -> None:
    chat = open_page(reduced_motion="reduce")
    chat.ask(f"{QUESTION} {SLOWLY}")
    moving = "(it) => it.getAnimations({ subtree: true }).length"
    assert chat.last.evaluate(moving) == 0
    expect(chat.written).to_be_visible(timeout=10_000)
    assert chat.last.evaluate(moving) == 0
    chat.page.keyboard.press("Escape")


def test_language_that_only_begins_like_korean_is_not_taken_for_it(open_page: Open) -> None:
    chat = open_page(locale="kok-IN")  # Konkani
    expect(chat.page.get_by_role("heading", level=1)).to_have_text("Ask the documents")


BACKTICKS: Final = {
    "one": ("Run `make` and `ls`.", "Run make and ls.", ["make", "ls"]),
    "fence": ("```sh\nmake run\n```", "```sh\nmake run\n```", []),
    "two": ("an empty `` and ``code``", "an empty `` and ``code``", []),
    "unclosed": ("a ` b\n`c` `", "a ` b\nc `", ["c"]),
    "nested": ("`a``b` c", "a``b c", ["a``b"]),
    "with a chip": ("so `[c1] and ` [c1]", "so [c1] and  1", ["[c1] and "]),
}


@pytest.mark.parametrize(("text", "shown", "codes"), BACKTICKS.values(), ids=BACKTICKS.keys())
def test_single_backticks_are_code_and_others_are_themselves(
    text: str, shown: str, codes: list[str], chat: Chat
) -> None:
    """However the text is cut."""
    for pieces in ([text], list(text)):
        deltas = [("delta", {"delta": piece}) for piece in pieces]
        whole = _told(META, FOUND, CITED, *deltas, ("done", DONE))
        _answering(chat.page, whole, content_type=STREAM)
        chat.answer(QUESTION)
        assert chat.written.evaluate("(it) => it.textContent") == shown
        assert chat.written.locator("code").all_inner_texts() == codes


STREAM: Final = "text/event-stream"
Event = tuple[str, Mapping[str, object]]
SOURCE: Final = {"chunk_id": "x", "doc_id": "x", "title": "T", "url": None, "snippet": "s"}
META: Final[Event] = ("meta", {"request_id": "r", "session_id": None})
FOUND: Final[Event] = ("sources", {"sources": [{**SOURCE, "score": 1}]})
CITED: Final[Event] = ("citations", {"citations": [{**SOURCE, "marker": "c1"}]})
DONE: Final = {"status": "ok", "reason_code": None, "retry_after_ms": None, "model": "m"}


def _told(*events: Event) -> str:
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)


def _answering(page: Page, body: str, *, status: int = 200, content_type: str) -> None:
    def answer(route: Route) -> None:
        route.fulfill(status=status, content_type=content_type, body=body)

    page.route("**/chat?stream=true", answer)
