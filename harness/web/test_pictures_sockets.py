"""Goal: what is shipped can be looked at: a picture of each state, kept in var/web for each run.

Method: the page is brought to each state and pictured; that it is the state is asserted, how it
looks is a person's to judge. docs/pictures holds the ones that were judged.
"""

from typing import Final

import pytest
from playwright.sync_api import expect  # type: ignore[import-not-found] # of its own environment

from harness.web.conftest import Open
from harness.web.page_driver import Chat, keep
from harness.web.served import ABSTAINING, BUSY, KOREAN, REFUSED, UNVERIFIED, WITHDRAWN

SHOWN: Final = "What happens when a client goes away?"
STATES: Final = {
    "sources": ABSTAINING,
    "busy": BUSY,
    "unverified": UNVERIFIED,
    "request": REFUSED,
    "withdrawn": WITHDRAWN,
}
LOOKS: Final[dict[str, dict[str, object]]] = {
    "answer": {},
    "dark": {"color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "is_mobile": True,
        "has_touch": True,
        "device_scale_factor": 1.5,
    },
}


@pytest.mark.parametrize("look", LOOKS)
def test_picture_of_an_answer_with_its_citations(look: str, open_page: Open) -> None:
    chat = open_page(**LOOKS[look])
    chat.answer(SHOWN)
    if look != "phone":
        chat.written.get_by_role("button").first.click()
        expect(chat.panel.get_by_role("mark")).to_be_visible()
    _kept(chat, look)


@pytest.mark.parametrize("state", STATES)
def test_picture_of_each_message(state: str, chat: Chat) -> None:
    chat.answer(f"{SHOWN} {STATES[state]}")
    expect(chat.notice).to_be_visible()
    _kept(chat, state)


def test_picture_in_korean(open_page: Open) -> None:
    chat = open_page(locale="ko-KR")
    chat.answer(KOREAN)
    chat.written.get_by_role("button").first.click()
    expect(chat.panel.get_by_text("인용된 구절")).to_be_visible()
    _kept(chat, "korean")


def test_picture_of_the_apis_page(open_page: Open) -> None:
    keep(open_page("docs").page, "api")


def _kept(chat: Chat, name: str) -> None:
    """The mark that makes the fault is the tests' own: it is not pictured."""
    chat.page.evaluate(
        """() => {
          for (const one of document.querySelectorAll('h2.question')) {
            one.textContent = one.textContent.replace(/ \\(\\w+\\)$/, '');
          }
        }"""
    )
    assert keep(chat.page, name).stat().st_size > 10_000
