"""Goal: LLMGW keeps its prompt within its budget, and says so where it can not (CONTRACT §4).

Method: bytes in, bytes out, in both modes, the fake model server behind it.
"""

import json

import pytest
import trio
from trio.testing import MockClock

from harness.provided import JSON, PROVIDERS, open_provider
from harness.wire_schemas import streamed, whole

LLMGW = next(provider for provider in PROVIDERS if provider.service == "llmgw")
CHUNKS = [{"chunk_id": f"k{n}", "content": "Install it with apt. " * 300} for n in range(8)]
QUESTION = {"role": "user", "content": "How do I install it?"}
SAID = {"role": "user", "content": "Tell me more. " * 2_000}


def ending(messages: list[dict[str, str]], *, stream: bool) -> tuple[object, object]:
    """The status of an answer, and its reason."""
    request = {"messages": messages, "context": {"chunks": CHUNKS}, "stream": stream}

    async def main() -> bytes:
        async with open_provider(LLMGW) as client:
            url, body = LLMGW.url(stream=stream), json.dumps(request).encode()
            response = await client.post(url, content=body, headers=JSON)
            assert response.status_code == 200
            return response.content

    content = trio.run(main, clock=MockClock(autojump_threshold=0))
    end = streamed(content, cited=True)[-1][1] if stream else whole(LLMGW.answer, content)
    return end["status"], end["reason_code"]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streaming"])
def test_answered_when_history_and_passages_are_too_long(stream: bool) -> None:
    assert ending([SAID, QUESTION], stream=stream) == ("ok", None)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streaming"])
def test_refused_when_the_question_alone_is_too_long(stream: bool) -> None:
    assert ending([SAID], stream=stream) == ("fallback", "PROVIDER_CONTEXT_OVERFLOW")
