"""Goal: every good request is answered on the contract, in both modes.

Method: by property, requests as clients may write them to each service alone; what comes back is
held to the files of `contracts/schemas` and to the order of events, by the wire's bytes.
"""

import json

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from contracts.tests.shapes import quick
from fakes.openai_compat_server.catalogue import CATALOGUE
from fakes.openai_compat_server.scenario import Face
from harness.places import Json
from harness.provided import JSON, PROVIDERS, Provider, open_provider
from harness.strategies import requests
from harness.wire_schemas import streamed, whole

ANSWERS = sorted(name for name, scenario in CATALOGUE.items() if scenario.face is Face.ANSWER)
MODELS = st.sampled_from(["fake", *(f"fake:{name}" for name in ANSWERS)])
HEADER_IDS = {"x-request-id": "header.id", "x-trace-id": "cd" * 16}


def asked(provider: Provider, body: bytes, *, stream: bool) -> httpx.Response:
    """The answer to one call, which names its ids in headers too."""

    async def main() -> httpx.Response:
        async with open_provider(provider) as client:
            url, headers = provider.url(stream=stream), {**JSON, **HEADER_IDS}
            return await client.post(url, content=body, headers=headers)

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def cited(body: Json) -> bool:
    options = body.get("options", body)
    assert isinstance(options, dict)
    return options.get("citations_required", True) is True


def assert_on_the_contract(
    provider: Provider, request: Json, response: httpx.Response, *, stream: bool
) -> Json:
    """The answer's end: its body, or its `done`."""
    assert response.status_code == 200, response.text
    ids = {"request_id": "header.id", "trace_id": "cd" * 16}
    ids |= {key: str(request[key]) for key in ids if key in request}
    assert response.headers["x-request-id"] == ids["request_id"]
    assert response.headers["x-trace-id"] == ids["trace_id"]
    if not stream:
        assert response.headers["content-type"] == "application/json"
        body = whole(provider.answer, response.content)
        assert {key: body[key] for key in ids} == ids
        return body
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    events = streamed(response.content, cited=cited(request))
    assert {key: events[0][1][key] for key in ids} == ids
    return events[-1][1]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streaming"])
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
@quick(40)
@given(data=st.data())
def test_a_good_request_is_answered(provider: Provider, stream: bool, data: st.DataObject) -> None:
    body = data.draw(requests(provider.kind))
    request = json.loads(body)
    if provider.service == "llmgw":
        request |= {"stream": stream, "model": data.draw(MODELS)}
        body = json.dumps(request).encode()
    elif not stream and "options" in request:
        request["options"]["stream"] = False
        body = json.dumps(request).encode()
    response = asked(provider, body, stream=stream)
    if len(body) > provider.body_bytes:
        assert whole("error-body", response.content)["error"]
        assert response.status_code == 413
        return
    end = assert_on_the_contract(provider, request, response, stream=stream)
    assert provider.service == "llmgw" or end["status"] == "ok"
