"""Goal: nothing that a model, a document or a server writes runs, loads or leads anywhere.

Method: the fake writes scripts, images and links into its answers, through the whole chain; and a
server that keeps no law at all stands in for the BFF's answers, below the page, at the network.
What would betray a failure: an element, a request, a dialog, a variable set.
"""

import json
from typing import Final

import pytest
from playwright.sync_api import Page, Route, expect  # type: ignore[import-not-found] # its own

from harness.web.conftest import Open
from harness.web.page_driver import Chat
from harness.web.served import INJECTED, QUESTION

NASTY: Final = (
    "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"
    "<svg onload=window.ran=1></svg><a href='javascript:window.ran=1'>click</a>"
    "[click](javascript:window.ran=1) ![i](https://evil.example/i.png) "
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe> https://evil.example/ "
)
BAD_URLS: Final = ("javascript:window.ran=1", "data:text/html,x", "//evil.example", "file:///etc")


@pytest.mark.parametrize("mark", INJECTED)
def test_what_the_model_injects_never_reaches_the_page(mark: str, chat: Chat) -> None:
    shown = chat.answer(f"{QUESTION} {mark}")
    expect(chat.notice).to_be_visible()
    assert "evil" not in shown
    assert "javascript:" not in shown
    _nothing_ran(chat.page)


def _events(url: str) -> str:
    source = {"chunk_id": "x", "doc_id": "x", "title": NASTY, "url": url, "snippet": NASTY}
    citation = {"chunk_id": "x", "marker": "c1", "title": NASTY, "url": url}
    ids = {"version": "v1", "trace_id": "ab" * 16, "request_id": NASTY, "session_id": None}
    done = {"status": "ok", "reason_code": None, "retry_after_ms": None, "model": NASTY}
    events = (
        ("meta", ids),
        ("sources", {"sources": [{**source, "score": 1}]}),
        ("citations", {"citations": [citation]}),
        *(("delta", {"delta": piece}) for piece in (NASTY[:40], NASTY[40:], " [c1] `", NASTY)),
        ("done", done),
    )
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)


@pytest.mark.parametrize("url", BAD_URLS)
def test_what_a_lawless_server_says_is_text(url: str, chat: Chat) -> None:
    _answering(chat.page, _events(url))
    shown = chat.answer(QUESTION)
    assert "<script>window.ran = 1</script>" in shown, "it is shown as it is"
    chat.written.get_by_role("button").first.click()
    expect(chat.panel).to_contain_text("<script>window.ran = 1</script>")
    chat.details()
    assert chat.page.locator("main a, dialog a").count() == 0, "no link of it is one"
    _nothing_ran(chat.page)


def test_sources_own_web_address_is_a_link_that_tells_nobody_where_it_came_from(
    chat: Chat,
) -> None:
    _answering(chat.page, _events("https://docs.example/a?b=c"))
    chat.answer(QUESTION)
    chat.written.get_by_role("button").first.click()
    link = chat.panel.get_by_role("link")
    expect(link).to_have_attribute("href", "https://docs.example/a?b=c")
    expect(link).to_have_attribute("rel", "noopener noreferrer")


def test_web_address_without_slashes_does_not_lead_into_this_server(chat: Chat) -> None:
    _answering(chat.page, _events("http:metrics"))
    chat.answer(QUESTION)
    chat.written.get_by_role("button").first.click()
    leads = chat.panel.get_by_role("link").evaluate("(it) => it.href")
    assert leads == "http://metrics/"


BROKEN: Final = {
    "text before its citations": "meta delta done",
    "no end": "meta sources citations delta",
    "an end before the beginning": "done",
    "two beginnings": "meta meta",
    "text after an error": "meta error delta done",
    "an end that is ok after an error": "meta error done",
}


@pytest.mark.parametrize("order", BROKEN.values(), ids=BROKEN.keys())
def test_stream_that_keeps_no_order_is_never_an_answer(order: str, chat: Chat) -> None:
    events = dict(part.split("\ndata: ") for part in _events("x").strip().split("\n\n"))
    events["event: error"] = json.dumps(
        {"code": "INTERNAL_ERROR", "message": "", "message_key": "unverified", "discard": False}
    )
    parts = [f"event: {name}\ndata: {events[f'event: {name}']}\n\n" for name in order.split()]
    _answering(chat.page, "".join(parts))
    chat.answer(QUESTION)
    expect(chat.notice).to_be_visible()
    expect(chat.written).to_be_hidden()


FORMLESS: Final = {
    "meta": "null",
    "sources": '{"sources": null}',
    "citations": '{"citations": [null]}',
    "delta": '{"delta": 1}',
    "done": "[]",
}


@pytest.mark.parametrize("name", FORMLESS)
def test_stream_that_keeps_no_form_is_never_an_answer(name: str, chat: Chat) -> None:
    parts = _events("x").split("\n\n")
    formless = f"event: {name}\ndata: {FORMLESS[name]}"
    spoilt = [formless if part.startswith(f"event: {name}\n") else part for part in parts]
    _answering(chat.page, "\n\n".join(spoilt))
    chat.answer(QUESTION)
    expect(chat.notice).to_be_visible()
    expect(chat.written).to_be_hidden()
    assert chat.details()["Reason"] == "HOP_PROTOCOL_ERROR"


def test_browser_itself_would_refuse_what_the_page_must_not_do(
    chat: Chat, complaints: list[str]
) -> None:
    """The Content-Security-Policy: markup from text, inline code, other hosts, frames."""
    refused = chat.page.evaluate(
        """async () => {
          const link = document.createElement('a');
          link.setAttribute('href', 'javascript:window.ran = 1');
          const tried = {
            markup: () => { document.body.innerHTML = '<b>x</b>'; },
            inline: () => { document.createElement('script').text = 'window.ran = 1'; },
            handler: () => { document.body.setAttribute('onclick', 'window.ran = 1'); },
            elsewhere: () => fetch('https://evil.example/'),
            link: () => { document.body.append(link); link.click(); },
          };
          const found = [];
          for (const [name, it] of Object.entries(tried)) {
            try { await it(); } catch { found.push(name); }
          }
          document.body.click();
          return found;
        }"""
    )
    assert {"markup", "inline", "elsewhere"} <= set(refused)
    chat.page.wait_for_timeout(200)
    _nothing_ran(chat.page)
    assert complaints
    assert all("Content Security Policy" in one or "Trusted" in one for one in complaints), (
        complaints
    )
    complaints.clear()


def test_page_is_framed_by_nobody_and_works_from_one_host_alone(open_page: Open) -> None:
    """`open_page` refuses every other host and fails the test that asked one."""
    chat = open_page()
    asked: list[str] = []
    chat.page.on("request", lambda request: asked.append(request.url))
    chat.page.reload()
    chat.answer(QUESTION)
    assert len(asked) >= 15
    assert len({url.split("/")[2] for url in asked}) == 1


def _answering(page: Page, body: str) -> None:
    def answer(route: Route) -> None:
        route.fulfill(status=200, content_type="text/event-stream", body=body)

    page.route("**/chat?stream=true", answer)


def _nothing_ran(page: Page) -> None:
    assert page.evaluate("window.ran") is None
    inside = "main script, main img, main iframe, main svg[onload], dialog script, dialog img"
    assert page.locator(inside).count() == 0
