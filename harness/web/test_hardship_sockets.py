"""Goal: the page goes on where a browser keeps nothing, a proxy answers, or an answer comes late.

Method: the page in Chromium over the four processes; what a browser or a proxy does is done to it
below the page: its storage, and what comes back for a call.
"""

import json
from typing import Final

import pytest
from playwright.sync_api import Page, Route, expect  # type: ignore[import-not-found] # its own

from harness.web.page_driver import Chat
from harness.web.served import QUESTION

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


BACKTICKS: Final = {
    "one": ("Run `make` and `ls`.", "Run make and ls.", ["make", "ls"]),
    "fence": ("```sh\nmake run\n```", "```sh\nmake run\n```", []),
    "two": ("an empty `` and ``code``", "an empty `` and ``code``", []),
    "unclosed": ("a ` b\n`c` `", "a ` b\nc `", ["c"]),
    "nested": ("`a``b` c", "a``b c", ["a``b"]),
    "with a chip": ("so `[c1] and ` [c1]", "so [c1] and  1", ["[c1] and "]),
}


STREAM: Final = "text/event-stream"
Event = tuple[str, dict[str, object]]
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
