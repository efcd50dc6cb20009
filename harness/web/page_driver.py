"""The page as its reader meets it: found by roles and names, driven by mouse or keyboard.

    chat = Chat(page)
    chat.ask(QUESTION); chat.wait_done()         then chat.last, chat.text(), chat.notice
    keep(page, "answer")                          a picture, in var/web

It judges nothing.
"""

import re
from pathlib import Path
from typing import Final

from attrs import frozen
from playwright.sync_api import Locator, Page, expect  # type: ignore[import-not-found] # its own

from harness.tidy import ROOT

PICTURES: Final = ROOT / "var/web"
DONE_MS: Final = 30_000


@frozen
class Chat:
    """One tab with the chat page."""

    page: Page

    @property
    def box(self) -> Locator:
        """The question box."""
        return self.page.locator("form.composer textarea")

    @property
    def turns(self) -> Locator:
        """Every question with its answer."""
        return self.page.get_by_role("article")

    @property
    def last(self) -> Locator:
        """The last of them."""
        return self.turns.last

    @property
    def written(self) -> Locator:
        """The text of the last answer, with its chips."""
        return self.last.locator(".text")

    @property
    def notice(self) -> Locator:
        """What the last turn says instead of an answer."""
        return self.last.locator(".notice")

    @property
    def panel(self) -> Locator:
        """The sources beside the answer."""
        return self.page.get_by_role("dialog", name=re.compile("Sources|출처"))

    def button(self, name: str) -> Locator:
        """A button of the last turn, by its beginning."""
        return self.last.get_by_role("button", name=re.compile(f"^{re.escape(name)}"))

    def ask(self, question: str) -> None:
        """Type it and press Enter; the answer has only begun."""
        before = self.turns.count()
        self.box.fill(question)
        self.box.press("Enter")
        expect(self.turns).to_have_count(before + 1)

    def wait_done(self) -> None:
        """Until the last answer is over."""
        ended = self.last.locator("[aria-busy=false]")
        expect(ended).to_be_visible(timeout=DONE_MS)

    def answer(self, question: str) -> str:
        """Ask, wait, and give back what stands there."""
        self.ask(question)
        self.wait_done()
        return str(self.last.inner_text())

    def details(self) -> dict[str, str]:
        """What the last turn says of its request; one click shows it."""
        opener = self.last.locator(".request")
        if opener.get_attribute("aria-expanded") != "true":
            opener.click()
        names = self.last.locator(".trace dt").all_inner_texts()
        return dict(zip(names, self.last.locator(".trace dd").all_inner_texts(), strict=True))


def keep(page: Page, name: str) -> Path:
    """A picture of what is seen now."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path, animations="disabled", caret="hide")
    return path
