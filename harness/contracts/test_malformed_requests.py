"""Goal: a spoilt request is refused where it is spoilt.

Method: every operator over a request with every key, to each service alone; then operators drawn
over drawn requests, on every path and in both modes. A refusal is an error body with its status,
JSON even where a stream was asked for, and names every `$.path` and no other.
"""

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from contracts.limits import VIOLATIONS_LISTED
from contracts.tests.shapes import quick
from harness.malformed import OPERATORS, Operator, Spoilt, body_of
from harness.provided import JSON, PROVIDERS, Provider, open_provider
from harness.strategies import spoilt
from harness.wire_schemas import whole

FITTING = [
    pytest.param(provider, operator, id=f"{provider.name}-{operator.name}")
    for provider in PROVIDERS
    if provider.path != "/v1/chat"  # the same route as /chat
    for operator in OPERATORS
    if list(operator.spoil(provider.kind, provider.good))
]


def error_in(response: httpx.Response) -> tuple[int, object, set[object]]:
    """Status, code and paths of a refusal, its body and headers held to the contract."""
    assert response.headers["content-type"] == "application/json", response.text
    body = whole("error-body", response.content)
    for key in ("request_id", "trace_id"):
        assert response.headers[f"x-{key.replace('_', '-')}"] == body[key]
    error = body["error"]
    assert isinstance(error, dict)
    return response.status_code, error["code"], {detail["path"] for detail in error["details"]}


def assert_refused(provider: Provider, made: Spoilt, response: httpx.Response) -> None:
    """As the operator says, and as the size says before it."""
    if len(made.body) > provider.body_bytes:
        assert error_in(response) == (413, "INPUT_TOO_LARGE", set())
        return
    if made.harmless:
        assert response.status_code == 200, response.text
        return
    status, code, paths = error_in(response)
    assert (status, code) == (400, "INPUT_INVALID"), response.text
    assert paths == made.paths or (len(paths) == VIOLATIONS_LISTED and paths < made.paths)


@pytest.mark.parametrize(("provider", "operator"), FITTING)
async def test_a_spoilt_request_is_refused_where_it_is_spoilt(
    autojump_clock: MockClock, provider: Provider, operator: Operator
) -> None:
    async with open_provider(provider) as client:
        for made in operator.spoil(provider.kind, provider.good):
            response = await client.post(provider.url(), content=made.body, headers=JSON)
            assert_refused(provider, made, response)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
@quick(40)
@given(data=st.data())
def test_any_request_spoilt_anyhow_is_refused(provider: Provider, data: st.DataObject) -> None:
    made = data.draw(spoilt(provider.kind))
    url = provider.url(stream=data.draw(st.booleans()))

    async def main() -> httpx.Response:
        async with open_provider(provider) as client:
            return await client.post(url, content=made.body, headers=JSON)

    assert_refused(provider, made, trio.run(main, clock=MockClock(autojump_threshold=0)))


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
async def test_a_body_is_taken_up_to_its_cap(autojump_clock: MockClock, provider: Provider) -> None:
    good = body_of(provider.good)
    async with open_provider(provider) as client:
        for more, status in ((0, 200), (1, 413)):
            body = good + b" " * (provider.body_bytes - len(good) + more)
            response = await client.post(provider.url(), content=body, headers=JSON)
            assert response.status_code == status
        assert error_in(response) == (413, "INPUT_TOO_LARGE", set())


HEADS = {
    "no media type": ({"content-type": ""}, 415, "INPUT_MEDIA_TYPE"),
    "text": ({"content-type": "text/plain"}, 415, "INPUT_MEDIA_TYPE"),
    "a form": ({"content-type": "application/x-www-form-urlencoded"}, 415, "INPUT_MEDIA_TYPE"),
    "another encoding": ({"content-encoding": "gzip"}, 415, "INPUT_MEDIA_TYPE"),
    "no time": ({"x-deadline-ms": "0"}, 504, "ADMISSION_DEADLINE_EXPIRED"),
    "a fraction of time": ({"x-deadline-ms": "1.5"}, 400, "INPUT_INVALID"),
    "time below nothing": ({"x-deadline-ms": "-1"}, 400, "INPUT_INVALID"),
    "time in words": ({"x-deadline-ms": "soon"}, 400, "INPUT_INVALID"),
    "empty time": ({"x-deadline-ms": ""}, 400, "INPUT_INVALID"),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
async def test_an_unusable_head_is_refused(
    autojump_clock: MockClock, provider: Provider, name: str
) -> None:
    headers, status, code = HEADS[name]
    async with open_provider(provider) as client:
        content = body_of(provider.good)
        response = await client.post(provider.url(), content=content, headers={**JSON, **headers})
    paths = {"x-deadline-ms"} if status == 400 else set()
    assert error_in(response) == (status, code, paths)


QUERIES = {
    "unknown key": ("top_k=3", "?top_k"),
    "odd value": ("stream=1", "?stream"),
    "re-cased value": ("stream=True", "?stream"),
    "no value": ("stream", "?stream"),
    "re-cased key": ("Stream=true", "?Stream"),
    "one good, one bad": ("stream=true&stream=no", "?stream"),
}


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
async def test_an_unknown_query_is_refused(
    autojump_clock: MockClock, provider: Provider, name: str
) -> None:
    query, path = QUERIES[name]
    async with open_provider(provider) as client:
        url = f"{provider.host}{provider.path}?{query}"
        response = await client.post(url, content=body_of(provider.good), headers=JSON)
    assert error_in(response) == (400, "INPUT_INVALID", {path})


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streaming"])
async def test_a_session_that_nobody_made_is_not_found(
    autojump_clock: MockClock, stream: bool
) -> None:
    (provider,) = (one for one in PROVIDERS if one.service == "qs")
    good = {key: value for key, value in provider.good.items() if key != "history"}
    async with open_provider(provider) as client:
        content = body_of({**good, "session_id": "s"})
        response = await client.post(provider.url(stream=stream), content=content, headers=JSON)
    assert error_in(response) == (404, "INPUT_NOT_FOUND", set())
