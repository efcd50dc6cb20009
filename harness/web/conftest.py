"""One chain and one browser for all tests; each test has a context of its own, and no other host.

Whatever a page asks of another host than the BFF is noted and refused, and so is what the console
says and what a script throws: a test that did not expect it fails.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pytest
from playwright.sync_api import (  # type: ignore[import-not-found] # of its own environment
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Route,
    sync_playwright,
)

from harness.stack import Stack
from harness.web.page_driver import Chat
from harness.web.served import open_served

CHROMIUM: Final = "/usr/bin/chromium"
DESK: Final = {"width": 1280, "height": 800}
Open = Callable[..., Chat]


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The four programs, started once."""
    with open_served(tmp_path_factory.mktemp("web")) as stack:
        yield stack


@pytest.fixture
def stack(chain: Stack) -> Stack:
    """The chain, whole: a BFF that a test ended is started again."""
    if not chain.runs("bff"):
        chain.start("bff")
    return chain


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Without its sandbox, which a container's root cannot have."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What went wrong in any page of the test, in the browser's words."""
    return []


@pytest.fixture
def open_page(stack: Stack, browser: Browser, complaints: list[str]) -> Iterator[Open]:
    """Opens the chat page in a browser that has never seen it; keywords are the context's."""
    contexts: list[BrowserContext] = []

    def opened(path: str = "", at: Stack = stack, **how: object) -> Chat:
        context = browser.new_context(**{"viewport": DESK, "locale": "en-US", **how})
        contexts.append(context)
        base = f"http://127.0.0.1:{at['bff'].port}/"
        page = _watched(context, base, complaints)
        page.goto(f"{base}{path}")
        return Chat(page)

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def chat(open_page: Open) -> Chat:
    """The page on a desk, in English."""
    return open_page()


def _watched(context: BrowserContext, base: str, complaints: list[str]) -> Page:
    def elsewhere(route: Route) -> None:
        complaints.append(f"asked for {route.request.url}")
        route.abort()

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    context.route(lambda url: not url.startswith(base), elsewhere)
    page = context.new_page()
    page.on("console", said)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """A suite that collected nothing proves nothing."""
    assert items, "no test was collected"
