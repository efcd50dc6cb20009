"""What the BFF serves to browsers, and what every answer tells them that they may do with it."""

import json

import pytest

from bff.app import open_app
from bff.chat_page import SECURITY_HEADERS
from bff.config import BffSettings
from contracts.openapi import SERVICES, document
from harness.hop_stage import Stage, chat, open_stage
from harness.provided import answering

PAGES = ("/", "/docs", "/page/chat.js", "/page/page.css", "/openapi.json")
OTHERS = ("/health", "/ready", "/metrics", "/nowhere", "/chat")
ENVIRON = {"BFF_QS_URL": "http://next"}


async def headers_of(stage: Stage, path: str) -> dict[str, str]:
    response = await stage.client.get(f"http://hop{path}")
    return dict(response.headers)


@pytest.mark.parametrize("path", [*PAGES, *OTHERS])
async def test_every_answer_carries_the_security_headers(path: str, autojump_clock: object) -> None:
    async with open_stage(BffSettings, open_app, environ=ENVIRON) as stage:
        headers = await headers_of(stage, path)
    for name in SECURITY_HEADERS:
        assert headers[name]
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert ("script-src 'self'" in headers["content-security-policy"]) == (path in PAGES)


@pytest.mark.parametrize("path", ["/chat", "/chat?stream=true"])
async def test_answers_of_both_modes_carry_them(path: str, autojump_clock: object) -> None:
    async with open_stage(
        BffSettings, open_app, upstream=answering("bff"), environ=ENVIRON
    ) as stage:
        response = await stage.post(chat(request_id="r-1", trace_id="ab" * 16), path)
    kept = "no-cache" if "stream" in path else "no-store"
    assert response.headers["cache-control"] == kept
    assert response.headers["x-frame-options"] == "DENY"


async def test_api_is_told_to_machines_and_to_readers(autojump_clock: object) -> None:
    (service,) = [one for one in SERVICES if one.name == "bff"]
    async with open_stage(BffSettings, open_app, environ=ENVIRON) as stage:
        machine = await stage.client.get("http://hop/openapi.json")
        page = await stage.client.get("http://hop/docs")
    assert json.loads(machine.content) == json.loads(json.dumps(document(service)))
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<code>/chat</code>" in page.text


async def test_file_that_is_not_the_pages_is_not_served(autojump_clock: object) -> None:
    async with open_stage(BffSettings, open_app, environ=ENVIRON) as stage:
        for name in ("nothing.js", "chat_page.py", "..%2fapp.py"):
            response = await stage.client.get(f"http://hop/page/{name}")
            assert response.status_code == 404
            assert response.json()["error"]["code"] == "INPUT_NOT_FOUND"
