"""Goal: the page goes on where a browser keeps nothing, a proxy answers, or an answer comes late.

Method: the page in Chromium over the four processes; what a browser or a proxy does is done to it
below the page: its storage, and what comes back for a call.
"""

from typing import Final

import pytest
from playwright.sync_api import expect  # type: ignore[import-not-found] # its own

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
