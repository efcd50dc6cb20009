"""Goal: what happens to a question is seen as it happens, and everything of it can be used.

Method: the page in Chromium over the four processes. The fake's journal says what reached the
model server, and when its client left; the page is asked for what a reader sees.
"""

import json
import re
import time
from typing import Final
from urllib.request import urlopen

from playwright.sync_api import expect  # type: ignore[import-not-found] # of its own environment

from harness.stack import Stack
from harness.web.conftest import Open
from harness.web.page_driver import Chat
from harness.web.served import BUSY, QUESTION, SLOWLY, WITHDRAWN

LEFT_S: Final = 2.0


def journal(stack: Stack) -> list[dict[str, object]]:
    """What the fake was asked, and how each ended."""
    address = f"http://127.0.0.1:{stack['fake'].port}/__admin/journal"
    with urlopen(address, timeout=5) as answer:
        entries = json.load(answer)["entries"]
    return [entry for entry in entries if "/chat/completions" in str(entry["request_line"])]


def test_answer_is_seen_arriving_with_its_citations(chat: Chat) -> None:
    chat.ask(f"{QUESTION} {SLOWLY}")
    expect(chat.written).to_be_visible(timeout=10_000)
    lengths = set()
    while chat.last.locator("[aria-busy=true]").count():
        lengths.add(len(chat.written.inner_text()))
        time.sleep(0.05)
    assert len(lengths) >= 4, "the text came in one piece"
    chips = chat.written.get_by_role("button", name=re.compile(r"^Source 1: "))
    assert chips.count() >= 1
    expect(chat.page.get_by_role("status").first).to_have_text(re.compile("^Answer ready, "))


def test_chip_opens_the_source_beside_the_answer_with_the_passage_marked(chat: Chat) -> None:
    chat.answer(QUESTION)
    chip = chat.written.get_by_role("button").first
    chip.click()
    expect(chat.panel).to_be_visible()
    marked = chat.panel.get_by_role("mark")
    expect(marked).to_have_count(1)
    words = chat.written.inner_text().split()[:4]
    assert all(word in marked.inner_text() for word in words)
    expect(chat.panel.get_by_text("Also found, not cited")).to_be_visible()
    answer, panel = chat.written.bounding_box(), chat.panel.bounding_box()
    assert answer["x"] + answer["width"] <= panel["x"], "beside, not over it"
    chat.page.keyboard.press("Escape")
    expect(chat.panel).to_be_hidden()
    expect(chip).to_be_focused()


def test_sources_of_an_answer_are_listed_cited_ones_first(chat: Chat) -> None:
    chat.answer(QUESTION)
    chat.last.locator(".open").click()
    items = chat.panel.get_by_role("listitem")
    assert items.count() >= 2
    expect(items.first.locator(".number")).to_have_text("1")
    expect(chat.panel.get_by_role("mark")).to_have_count(0)


def test_stop_is_seen_by_the_model_server_as_a_client_that_left(chat: Chat, stack: Stack) -> None:
    chat.ask(f"{QUESTION} {SLOWLY}")
    expect(chat.written).to_be_visible(timeout=10_000)
    chat.page.get_by_role("button", name="Stop").click()
    chat.wait_done()
    until = time.monotonic() + LEFT_S
    while (left := journal(stack)[-1]["client_left_at"]) is None and time.monotonic() < until:
        time.sleep(0.02)
    assert left is not None
    expect(chat.last).to_contain_text("Stopped. This answer is incomplete.")
    expect(chat.box).to_be_focused()
    expect(chat.page.get_by_role("button", name="Stop")).to_be_hidden()


def test_withdrawn_text_visibly_goes(chat: Chat) -> None:
    chat.ask(f"{QUESTION} {WITHDRAWN}")
    expect(chat.written).to_be_visible(timeout=10_000)
    before = chat.written.inner_text().split()
    chat.wait_done()
    expect(chat.written).to_be_hidden()
    assert " ".join(before[:5]) not in chat.last.inner_text().replace("\n", " ")
    expect(chat.last.get_by_text("The text that stood here was withdrawn")).to_be_visible()
    assert chat.details()["Reason"] == "PROVIDER_IDLE_TIMEOUT"
    expect(chat.page.get_by_role("status").first).to_contain_text("withdrawn")


def test_busy_counts_down_and_then_lets_one_try_again(chat: Chat) -> None:
    chat.answer(f"{QUESTION} {BUSY}")
    retry = chat.button("Try again")
    expect(retry).to_have_text("Try again in 3 s")
    retry.dispatch_event("click")  # a click of Playwright's would wait until it can be pressed
    expect(chat.turns).to_have_count(1)
    expect(retry).to_have_text("Try again in 1 s", timeout=5_000)
    expect(retry).to_have_text("Try again", timeout=3_000)
    retry.click()
    expect(chat.turns).to_have_count(2)
    expect(chat.last.get_by_role("heading", level=2)).to_have_text(f"{QUESTION} {BUSY}")


def test_answer_is_copied_with_its_sources(open_page: Open) -> None:
    chat = open_page(permissions=["clipboard-read", "clipboard-write"])
    chat.answer(QUESTION)
    chat.button("Copy answer").click()
    expect(chat.last).to_contain_text("Copied")
    text = chat.page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"\[1\]", text)
    assert "[c1]" not in text
    assert [line[:4] for line in text.splitlines()].count("[1] ") == 1


def test_request_id_is_one_click_away_and_is_the_logs(chat: Chat, stack: Stack) -> None:
    chat.answer(QUESTION)
    request_id = chat.details()["Request"]
    (line,) = stack["bff"].ended(request_id)
    assert line["status"] == "ok"


def test_page_goes_on_after_the_server_was_killed_and_started_again(
    chat: Chat, stack: Stack, complaints: list[str]
) -> None:
    chat.ask(f"{QUESTION} {SLOWLY}")
    expect(chat.written).to_be_visible(timeout=10_000)
    stack["bff"].kill()
    chat.wait_done()
    expect(chat.last.get_by_text("The text that stood here was withdrawn")).to_be_visible()
    assert chat.details()["Reason"] == "HOP_DISCONNECTED"
    banner = chat.page.get_by_text("The server cannot be reached.").first
    expect(banner).to_be_visible()
    stack.start("bff")
    expect(banner).to_be_hidden(timeout=10_000)
    chat.button("Try again").click()
    chat.wait_done()
    assert "Answer ready" in chat.page.get_by_role("status").first.inner_text()
    assert all("ERR_" in one for one in complaints), complaints
    complaints.clear()


def test_new_conversation_begins_empty(chat: Chat) -> None:
    chat.answer(QUESTION)
    chat.page.get_by_role("button", name="New conversation").first.click()
    expect(chat.turns).to_have_count(0)
    expect(chat.page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    expect(chat.box).to_be_focused()
