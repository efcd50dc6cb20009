"""Suites of one file each, run by pytest within pytest with the plugin; and how each begins."""

import httpcore  # noqa: F401 - pytest within pytest drops what it was first to import: two copies
import pytest
import trustme  # noqa: F401 - for the same reason

from fakes.openai_compat_server import pytest_plugin

ASK = {"model": "gpt-test", "messages": [{"role": "user", "content": "hello"}]}

OPENING = """
import anyio, anyio.lowlevel, httpx, pytest
from fakes.openai_compat_server import Ending, Rule, Script, raw

ASK = {"model": "gpt-test", "messages": [{"role": "user", "content": "hello"}]}

def post(fake, **more):
    return httpx.post(fake.base_url + "/chat/completions", json={**ASK, **more})
"""
RAW = r"""
BODY = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"

async def asked(fake):
    "The status line of one answer over one connection."
    async with fake.connect() as stream:
        await stream.send(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
        return (await stream.receive()).partition(b"\r\n")[0]
"""


class Run:
    """Runs a suite with the plugin."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def __call__(self, text: str, name: str = "test_it.py") -> pytest.RunResult:
        (self.pytester.path / name).write_text(OPENING + RAW + text)
        return self.pytester.runpytest_inprocess(
            *("-W", "error", "--strict-markers", "-p", "no:cacheprovider"), plugins=[pytest_plugin]
        )
