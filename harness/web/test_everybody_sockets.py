"""Goal: whoever they are and whatever they use, people can use it all.

Method: a run by keyboard alone; axe-core over every state, in both colours, languages and widths;
what a screen reader is told, and what it is not; text from right to left and in wide characters.
"""

import json
import re
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import (  # type: ignore[import-not-found] # its own
    Axe,
)
from playwright.sync_api import expect  # type: ignore[import-not-found] # of its own environment

from harness.web.conftest import Open
from harness.web.page_driver import Chat
from harness.web.served import (
    ABSTAINING,
    ARABIC,
    BUSY,
    KOREAN,
    OFF_TOPIC,
    QUESTION,
    REFUSED,
    SLOWLY,
    UNVERIFIED,
    WITHDRAWN,
)

PHONE: Final = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
LOOKS: Final[dict[str, dict[str, object]]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": PHONE,
    "korean": {"locale": "ko-KR"},
}


def violations(chat: Chat) -> str:
    """What axe-core finds wrong with what is seen now, for a person to read."""
    found = Axe().run(chat.page).response["violations"]
    told = [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found]
    return json.dumps(told, indent=1, ensure_ascii=False) if told else ""


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_wrong_with_any_state(look: str, open_page: Open) -> None:
    # Colours are judged as they are at rest, not on their way from one to another.
    chat = open_page(reduced_motion="reduce", **LOOKS[look])
    assert violations(chat) == "", "the empty page"
    chat.answer(QUESTION)
    chat.details()
    assert violations(chat) == "", "an answer"
    chat.written.get_by_role("button").first.click()
    expect(chat.panel).to_be_visible()
    assert violations(chat) == "", "the sources"
    chat.page.keyboard.press("Escape")
    for mark in (BUSY, ABSTAINING, UNVERIFIED, REFUSED, WITHDRAWN):
        chat.page.locator("#new").click()
        chat.answer(f"{QUESTION} {mark}")
        assert violations(chat) == "", mark
    chat.page.locator("#history").click()
    assert violations(chat) == "", "the history"


def test_axe_finds_nothing_wrong_with_the_apis_page(open_page: Open) -> None:
    for look in ("light", "dark"):
        chat = open_page("docs", **LOOKS[look])
        expect(chat.page.get_by_role("heading", level=1)).to_be_visible()
        assert violations(chat) == ""


def test_axe_finds_nothing_wrong_with_an_answer_that_is_being_written(chat: Chat) -> None:
    chat.ask(f"{QUESTION} {SLOWLY}")
    expect(chat.written).to_be_visible(timeout=10_000)
    assert violations(chat) == ""
    chat.page.keyboard.press("Escape")


def tab_to(chat: Chat, name: str) -> None:
    """Press Tab until something of this name has the focus."""
    named = re.compile(name)
    focused = "document.activeElement.ariaLabel ?? document.activeElement.textContent.trim()"
    for _ in range(40):
        chat.page.keyboard.press("Tab")
        if named.fullmatch(chat.page.evaluate(focused)):
            return
    raise AssertionError(f"Tab never came to {name}")


def test_everything_can_be_done_by_keyboard_alone(chat: Chat) -> None:
    keys = chat.page.keyboard
    expect(chat.box).to_be_focused()
    keys.type(QUESTION)
    keys.press("Shift+Enter")
    keys.type("Please.")
    assert chat.box.input_value() == f"{QUESTION}\nPlease."
    keys.press("Enter")
    chat.wait_done()
    tab_to(chat, "Skip to the question box")
    tab_to(chat, "Source 1: .*")
    keys.press("Enter")
    expect(chat.panel).to_be_visible()
    assert chat.page.evaluate("document.activeElement.closest('dialog')?.id") == "panel"
    keys.press("Escape")
    expect(chat.panel).to_be_hidden()
    assert chat.page.evaluate("document.activeElement.ariaLabel").startswith("Source 1: ")
    tab_to(chat, "Request details")
    keys.press("Enter")
    tab_to(chat, "Copy request id")
    tab_to(chat, "History")
    keys.press("Enter")
    expect(chat.page.get_by_role("dialog", name="History")).to_be_visible()
    keys.press("Escape")
    expect(chat.page.get_by_role("dialog", name="History")).to_be_hidden()


def test_escape_stops_an_answer_and_leaves_the_question_box_ready(chat: Chat) -> None:
    chat.ask(f"{QUESTION} {SLOWLY}")
    expect(chat.written).to_be_visible(timeout=10_000)
    chat.page.keyboard.press("Escape")
    chat.wait_done()
    expect(chat.last).to_contain_text("Stopped.")
    expect(chat.box).to_be_focused()


def test_screen_reader_is_told_of_phases_and_not_of_every_token(chat: Chat) -> None:
    chat.page.evaluate(
        """() => {
          window.told = [];
          const live = [...document.querySelectorAll('[role=status], [role=alert], [aria-live]')];
          for (const one of live) {
            new MutationObserver(() => window.told.push(one.textContent))
              .observe(one, { childList: true, characterData: true, subtree: true });
          }
        }"""
    )
    chat.answer(f"{QUESTION} {SLOWLY}")
    told = list(dict.fromkeys(chat.page.evaluate("window.told")))
    assert told[0] == "Searching the documents"
    assert told[-1].startswith("Answer ready, ")
    assert len(told) <= 4
    assert chat.last.locator("[aria-live], [role=status], [role=log]").count() == 0


@pytest.mark.parametrize("question", [KOREAN, ARABIC])
def test_wide_and_right_to_left_text_stands_as_it_should(question: str, chat: Chat) -> None:
    chat.answer(question)
    style = "(it) => [getComputedStyle(it).direction, it.getBoundingClientRect().right]"
    heading = chat.last.get_by_role("heading", level=2)
    expected = "rtl" if question == ARABIC else "ltr"
    assert heading.evaluate(style)[0] == expected
    box, first = (
        chat.written.bounding_box(),
        chat.written.evaluate(
            """(it) => {
          const range = document.createRange();
          range.setStart(it.firstChild, 0);
          range.setEnd(it.firstChild, 1);
          return range.getBoundingClientRect().left;
        }"""
        ),
    )
    at_left = first - box["x"] < box["width"] / 2
    assert at_left == (question == KOREAN), "text begins at its own side"


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(width: int, open_page: Open) -> None:
    chat = open_page(viewport={"width": width, "height": 700})
    chat.answer(QUESTION)
    chat.details()
    assert _overflow(chat) <= 0
    chat.written.get_by_role("button").first.click()
    expect(chat.panel).to_be_visible()
    assert _overflow(chat) <= 0
    chat.page.keyboard.press("Escape")
    chat.page.locator("#new").click()
    chat.answer(f"{'W' * 300} {OFF_TOPIC}")
    assert _overflow(chat) <= 0


def _overflow(chat: Chat) -> int:
    measure = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(chat.page.evaluate(measure))
