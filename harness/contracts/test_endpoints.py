"""Goal: every endpoint of CONTRACT §1 answers every method as the page says, on every service.

Method: each service alone, in memory; its OpenAPI document is asked for the shape of `/health` and
`/ready`, and the file of `error-body` for every refusal.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import httpx
import pytest
import trio
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types
from trio.testing import MockClock

from contracts import openapi
from harness.alone import HOPS, Hop, open_alone
from harness.hop_stage import Upstream, raw
from harness.provided import PROVIDERS, Provider, open_provider
from harness.wire_schemas import whole

SERVICES: dict[str, Provider] = {provider.service: provider for provider in PROVIDERS}
NAMES = sorted(SERVICES)
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY")
READABLE = {"GET", "HEAD", "OPTIONS"}
GETS = {name: ["/health", "/ready", "/metrics", *(["/"] if name == "bff" else [])]
    for name in NAMES}  # fmt: skip
POSTS = {name: [one.path for one in PROVIDERS if one.service == name] for name in NAMES}
UNKNOWN = (
    "/nowhere",
    "/chat/",
    "/health/",
    "/health//",
    "//health",
    "//chat",
    "/v1",
    "/Chat",
    "/%2e%2e/health",
    "/chat%00",
)
IDS = {"x-request-id": "r-1", "traceparent": f"00-{'ab' * 16}-{'1' * 16}-01"}


@asynccontextmanager
async def open_service(name: str) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A client, and where the service is."""
    provider = SERVICES[name]
    async with open_provider(provider) as client:
        yield client, provider.host


def assert_ids(response: httpx.Response) -> None:
    assert (response.headers["x-request-id"], response.headers["x-trace-id"]) == ("r-1", "ab" * 16)


def allowed(response: httpx.Response) -> set[str]:
    return set(response.headers["allow"].split(", "))


def assert_refused(response: httpx.Response, method: str, status: int, code: str) -> None:
    """An error body with both ids; HEAD has the head of one."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert_ids(response)
    if method == "HEAD":
        assert response.content == b""
        return
    body = whole("error-body", response.content)
    assert cast(dict[str, object], body["error"])["code"] == code
    assert (body["request_id"], body["trace_id"]) == ("r-1", "ab" * 16)


@pytest.mark.parametrize("name", NAMES)
async def test_what_can_be_read_takes_get_head_and_options(
    autojump_clock: MockClock, name: str
) -> None:
    async with open_service(name) as (client, host):
        for path in GETS[name]:
            answers = {
                method: await client.request(method, host + path, headers=IDS) for method in METHODS
            }
            for method in set(METHODS) - READABLE:
                assert_refused(answers[method], method, 405, "INPUT_METHOD")
                assert allowed(answers[method]) == READABLE
            got, head = answers["GET"], answers["HEAD"]
            assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
            assert head.headers["content-type"] == got.headers["content-type"]
            if path != "/metrics":  # its figures have grown by then
                assert head.headers["content-length"] == str(len(got.content))
            assert_options(answers["OPTIONS"], READABLE)
            assert_ids(got)


def assert_options(response: httpx.Response, methods: set[str]) -> None:
    assert (response.status_code, response.content) == (204, b"")
    assert "content-length" not in response.headers
    assert allowed(response) == methods
    assert_ids(response)


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_called_takes_post_and_options(autojump_clock: MockClock, name: str) -> None:
    async with open_service(name) as (client, host):
        for path in POSTS[name]:
            for method in set(METHODS) - {"POST", "OPTIONS"}:
                response = await client.request(method, host + path, headers=IDS)
                assert_refused(response, method, 405, "INPUT_METHOD")
                assert allowed(response) == {"POST", "OPTIONS"}
            options = await client.request("OPTIONS", host + path, headers=IDS)
            assert_options(options, {"POST", "OPTIONS"})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", UNKNOWN)
async def test_an_unknown_path_is_not_found_by_any_method(
    autojump_clock: MockClock, name: str, path: str
) -> None:
    async with open_service(name) as (client, host):
        for method in METHODS:
            response = await client.request(method, host + path, headers=IDS)
            assert_refused(response, method, 404, "INPUT_NOT_FOUND")


def schema_of(name: str, path: str, status: str) -> dict[str, object]:
    """The document's own schema of a GET's answer."""
    (service,) = (one for one in openapi.SERVICES if one.name == name)
    found: object = openapi.document(service)
    for key in ("paths", path, "get", "responses", status, "content", "application/json", "schema"):
        found = cast(dict[str, object], found)[key]
    return cast(dict[str, object], found)


@pytest.mark.parametrize("name", NAMES)
async def test_health_and_readiness_have_their_shape(autojump_clock: MockClock, name: str) -> None:
    async with open_service(name) as (client, host):
        for path in ("/health", "/ready"):
            response = await client.get(host + path)
            Draft202012Validator(schema_of(name, path, "200")).validate(response.json())
        health = (await client.get(f"{host}/health")).json()
    assert health == {"status": "ok", "service": name}


@pytest.mark.parametrize("name", NAMES)
async def test_metrics_are_prometheus_and_count_calls(autojump_clock: MockClock, name: str) -> None:
    async with open_service(name) as (client, host):
        await client.post(host + POSTS[name][0], content=b"{}")
        response = await client.get(f"{host}/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    labels = f'reason_code="INPUT_MEDIA_TYPE",service="{name}",status="error"'
    assert f"bsl_requests_total{{{labels}}} 1.0" in response.text


@pytest.mark.parametrize("hop", HOPS)
async def test_a_dead_neighbour_shows_and_leaves_a_program_ready(
    autojump_clock: MockClock, hop: Hop
) -> None:
    upstream = Upstream(raw("hang"))
    async with open_alone(hop, upstream) as stage:
        response = await stage.client.get("http://hop/ready")
        assert response.status_code == 200
        body = response.json()
        Draft202012Validator(schema_of(hop, "/ready", "200")).validate(body)
        assert body["ready"] is True
        neighbour = {"bff": "qs", "qs": "llmgw"}[hop]
        assert body["checks"][neighbour]["ok"] is False


@pytest.mark.parametrize("name", HOPS)
async def test_a_draining_program_is_not_ready_and_takes_no_calls(
    autojump_clock: MockClock, name: Hop
) -> None:
    provider = SERVICES[name]
    async with open_alone(name, Upstream(raw("hang"))) as stage:
        stage.program.drain.begin(trio.current_time() + 3)
        ready = await stage.client.get("http://hop/ready")
        Draft202012Validator(schema_of(name, "/ready", "503")).validate(ready.json())
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        headers = {**IDS, "content-type": "application/json"}
        called = await stage.client.post(provider.url(), json=provider.good, headers=headers)
        assert_refused(called, "POST", 503, "ADMISSION_SHUTTING_DOWN")
