"""Goal: a conversation goes on, is found again, and is gone when its reader says so.

Method: the page in Chromium, over the four processes and the store; what the server keeps is seen
by reloading, by opening from the list, and by what it says after a deletion.
"""

from playwright.sync_api import expect  # type: ignore[import-not-found] # of its own environment

from harness.web.page_driver import Chat
from harness.web.served import QUESTION, UNVERIFIED


def test_conversation_goes_on_after_a_reload_and_its_feedback_is_kept(chat: Chat) -> None:
    first = chat.answer(QUESTION)
    chat.answer(f"{QUESTION} {UNVERIFIED}")
    chat.turns.first.get_by_role("button", name="Helpful", exact=True).click()
    expect(chat.turns.first).to_contain_text("Thank you, your feedback is kept.")
    chat.page.reload()
    expect(chat.turns).to_have_count(2)
    again = chat.turns.first
    assert chat.turns.first.locator(".text").inner_text() in first
    pressed = again.get_by_role("button", name="Helpful", exact=True)
    expect(pressed).to_have_attribute("aria-pressed", "true")
    expect(chat.notice).to_be_visible()
    assert chat.details()["Reason"] == "CITATIONS_INVALID"


def test_what_was_wrong_can_be_said(chat: Chat) -> None:
    chat.answer(QUESTION)
    chat.button("Not helpful").click()
    comment = chat.last.get_by_role("textbox")
    expect(comment).to_be_focused()
    comment.fill("It is about another limit.")
    chat.button("Send feedback").click()
    expect(comment).to_be_hidden()
    expect(chat.button("Not helpful")).to_have_attribute("aria-pressed", "true")


def test_conversation_is_opened_from_the_list_and_deleted(
    chat: Chat, complaints: list[str]
) -> None:
    chat.answer(QUESTION)
    chat.page.get_by_role("button", name="New conversation").first.click()
    expect(chat.turns).to_have_count(0)
    history = chat.page.get_by_role("button", name="History")
    drawer = chat.page.get_by_role("dialog", name="History")
    history.click()
    drawer.get_by_role("button", name=QUESTION, exact=True).click()
    expect(drawer).to_be_hidden()
    expect(chat.turns).to_have_count(1)
    history.click()
    drawer.get_by_role("button", name=f"Delete: {QUESTION}").click()
    expect(drawer.get_by_text("The conversation was deleted.")).to_be_visible()
    expect(drawer.get_by_role("listitem")).to_have_count(0)
    chat.page.keyboard.press("Escape")
    chat.page.reload()
    expect(chat.turns).to_have_count(0)
    assert complaints == []
