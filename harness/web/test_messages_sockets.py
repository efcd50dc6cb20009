"""Goal: whoever gets no answer is told why, what to do next, what was searched, in their language.

Method: each of the four messages by a fault of the fake's that ends in it, in English and Korean;
and the refusals of the BFF's door, by a chain that has keys and a rate.
"""

import re
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import expect  # type: ignore[import-not-found] # of its own environment

from contracts.reasons import MessageKey
from harness.stack import Stack
from harness.web.conftest import Open
from harness.web.page_driver import Chat
from harness.web.served import (
    ABSTAINING,
    BUSY,
    KOREAN,
    OFF_TOPIC,
    QUESTION,
    REFUSED,
    UNVERIFIED,
    open_served,
)

# What brings each about, the code it has, and what is offered next.
CASES: Final = {
    MessageKey.SOURCES: (ABSTAINING, "MODEL_ABSTAINED", ["Change the question"]),
    MessageKey.BUSY: (BUSY, "PROVIDER_RATE_LIMITED", ["Try again in"]),
    MessageKey.UNVERIFIED: (UNVERIFIED, "CITATIONS_INVALID", ["Try again", "Change the question"]),
    MessageKey.REQUEST: (REFUSED, "OUTPUT_CONTENT_FILTER", ["Change the question", "New"]),
}
IN_KOREAN: Final = {
    MessageKey.SOURCES: ("검색한 문서에서 답을 찾지 못했습니다.", "질문 바꾸기"),
    MessageKey.BUSY: ("서비스가 혼잡하거나", "초 후 다시 시도"),
    MessageKey.UNVERIFIED: ("출처를 확인할 수 있는 답변을 만들지 못했습니다.", "다시 시도"),
    MessageKey.REQUEST: ("이 요청은 그대로 처리할 수 없습니다.", "새 대화"),
}
KEY: Final = "open-sesame"


@pytest.mark.parametrize("key", CASES)
def test_message_says_what_to_do_next_and_what_was_searched(key: MessageKey, chat: Chat) -> None:
    mark, code, offers = CASES[key]
    chat.answer(f"{QUESTION} {mark}")
    expect(chat.notice).to_contain_text(key.text)
    for offer in offers:
        expect(chat.button(offer)).to_be_visible()
    buttons = chat.notice.get_by_role("button").filter(visible=True)
    expect(buttons).to_have_count(len(offers))
    assert chat.details()["Reason"] == code
    expect(chat.last.get_by_text(re.compile("^What was searched: [2-9] passages$"))).to_be_visible()
    found = chat.last.get_by_role("list").first.get_by_role("button").first
    title = found.inner_text()
    found.click()
    expect(chat.panel.get_by_role("heading", name=title)).to_be_visible()
    expect(chat.panel.get_by_role("mark")).to_have_count(0)


@pytest.mark.parametrize("key", IN_KOREAN)
def test_message_is_korean_where_the_reader_is(key: MessageKey, open_page: Open) -> None:
    chat = open_page(locale="ko-KR")
    chat.answer(f"{QUESTION} {CASES[key][0]}")
    text, offer = IN_KOREAN[key]
    expect(chat.notice).to_contain_text(text)
    expect(chat.notice).to_contain_text(offer)
    assert key.text not in chat.last.inner_text()


def test_nothing_found_is_told_without_a_list(chat: Chat) -> None:
    chat.answer(OFF_TOPIC)
    expect(chat.notice).to_contain_text(MessageKey.SOURCES.text)
    assert chat.details()["Reason"] in ("RAG_NO_CHUNKS", "RAG_LOW_SCORE")


def test_question_is_put_back_to_be_changed(chat: Chat) -> None:
    asked = f"{QUESTION} {ABSTAINING}"
    chat.answer(asked)
    chat.button("Change the question").click()
    expect(chat.box).to_be_focused()
    expect(chat.box).to_have_value(asked)


def test_language_is_changed_on_the_spot_and_remembered(chat: Chat) -> None:
    chat.answer(QUESTION)
    text = chat.written.inner_text()
    chat.page.get_by_label("Language").select_option("ko")
    expect(chat.page.get_by_role("heading", level=1)).to_have_text("문서에 질문하기")
    assert chat.written.inner_text() == text, "what was answered stays"
    expect(chat.last.get_by_role("button", name="답변 복사")).to_be_visible()
    assert chat.page.evaluate("document.documentElement.lang") == "ko"
    chat.page.reload()
    expect(chat.page.get_by_role("heading", level=1)).to_have_text("문서에 질문하기")


def test_korean_question_is_answered_in_korean(open_page: Open) -> None:
    chat = open_page(locale="ko-KR")
    assert "등대지기는 해가 지기 전에" in chat.answer(KOREAN)


def test_question_that_is_too_long_is_not_sent(chat: Chat) -> None:
    chat.box.fill("a" * 4_001)
    chat.box.press("Enter")
    expect(chat.turns).to_have_count(0)
    expect(chat.page.get_by_text("4,001 / 4,000")).to_be_visible()
    expect(chat.box).to_have_attribute("aria-invalid", "true")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A chain whose BFF wants a key, and lets each make four calls at once and six a minute.

    Calls without a key that is taken are counted, too: by their address, which is everybody's here.
    """
    rate = {"BFF_RATE_PER_MINUTE": "6", "BFF_RATE_BURST": "4"}
    with open_served(tmp_path_factory.mktemp("guarded"), BFF_API_KEYS=KEY, **rate) as stack:
        yield stack


def test_key_is_asked_for_kept_in_the_tab_and_the_rate_is_told(
    guarded: Stack, open_page: Open, complaints: list[str]
) -> None:
    chat = open_page(at=guarded)
    dialog = chat.page.get_by_role("dialog", name="A key is needed")
    chat.ask(QUESTION)
    expect(dialog).to_be_visible()
    dialog.get_by_label("Key").fill("wrong")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_text("This key is not accepted.")).to_be_visible()
    dialog.get_by_label("Key").fill(KEY)
    dialog.get_by_role("button", name="Continue").click()
    chat.wait_done()
    expect(chat.written).to_be_visible()
    stored = chat.page.evaluate("[JSON.stringify(localStorage), JSON.stringify(sessionStorage)]")
    assert KEY not in stored[0]
    assert KEY in stored[1]
    for _ in range(4):
        chat.page.get_by_role("button", name="New conversation").first.click()
        chat.answer(QUESTION)
    expect(chat.notice).to_contain_text(MessageKey.BUSY.text)
    expect(chat.button("Try again in")).to_be_visible()
    assert chat.details()["Reason"] == "ADMISSION_RATE_LIMITED"
    _only_refusals(complaints)


def test_who_gives_no_key_is_told_that_one_is_needed(
    guarded: Stack, open_page: Open, complaints: list[str]
) -> None:
    chat = open_page(at=guarded)
    chat.ask(QUESTION)
    chat.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    chat.wait_done()
    expect(chat.notice).to_contain_text("A key that is accepted here is needed.")
    expect(chat.button("Try again")).to_be_visible()
    _only_refusals(complaints)


def _only_refusals(complaints: list[str]) -> None:
    """The browser notes every answer that is not 200; these were meant."""
    assert all("status of 4" in one for one in complaints), complaints
    complaints.clear()
