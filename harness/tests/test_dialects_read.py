"""Goal: what the fake says in any dialect, the gateway reads as the same events.

Method: the fake's own bytes into the gateway's own decoders; one table of events for all.
"""

from collections.abc import Iterator

import pytest
from attrs import evolve

from contracts.reasons import ReasonCode
from fakes.openai_compat_server import Behaviour, plan_response
from fakes.openai_compat_server.dialects import (
    DIALECTS,
    LLAMACPP,
    OLLAMA,
    OPENAI,
    VLLM,
    VLLM_0_10,
    Completion,
    Dialect,
    Refused,
)
from fakes.openai_compat_server.tests.fake_client import chat, dechunked, posted, tool
from llmgw.faults import GenerationFault
from llmgw.providers import openai_errors
from llmgw.providers.openai_wire import PlainDecoder, StreamDecoder
from llmgw.providers.port import (
    Content,
    Finished,
    ModelEvent,
    ModelNamed,
    Reasoning,
    UsageReport,
)

EACH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
TEXT = 'Say "ä" & <b>二</b>\u2028\n'
DONE = Completion("chatcmpl-1", 1, "m", ("one", " two"), "stop", 5, 2, ("hm",))


def body_of(dialect: Dialect, **fields: object) -> bytes:
    behaviour = Behaviour(persona="echo", dialect=dialect)
    plan = plan_response(behaviour, posted(chat(TEXT, **fields)))
    return b"".join(step.data for step in plan.steps).partition(b"\r\n\r\n")[2]


def read(decoder: StreamDecoder | PlainDecoder, body: bytes) -> list[ModelEvent | ReasonCode]:
    """The events of a reply, its text joined, and the code of the fault that ends it."""
    seen: list[ModelEvent | ReasonCode] = []
    try:
        for event in pulled(decoder, body):
            last = seen[-1] if seen else None
            if isinstance(event, Content) and isinstance(last, Content):
                seen[-1] = Content(last.text + event.text)
            else:
                seen.append(event)
    except GenerationFault as fault:
        seen.append(fault.code)
    return seen


def pulled(decoder: StreamDecoder | PlainDecoder, body: bytes) -> Iterator[ModelEvent]:
    decoder.feed(body)
    while (event := decoder.next_event()) is not None:
        yield event
    decoder.end()
    while (event := decoder.next_event()) is not None:
        yield event


SAID = [ModelNamed("m"), Content(TEXT), Finished("stop"), UsageReport(5, 5)]


@EACH
def test_a_stream_reads_the_same_in_every_dialect(dialect: Dialect) -> None:
    decoder = StreamDecoder()
    body = dechunked(body_of(dialect, stream=True, stream_options={"include_usage": True}))
    assert read(decoder, body) == SAID
    assert decoder.is_done


@EACH
def test_a_plain_answer_reads_the_same_in_every_dialect(dialect: Dialect) -> None:
    assert read(PlainDecoder(), body_of(dialect)) == SAID


@EACH
def test_reasoning_is_seen_wherever_it_is_shown(dialect: Dialect) -> None:
    frames = [*dialect.opening_frames(DONE, True), *dialect.token_frames(DONE, True)]
    seen = read(StreamDecoder(), b"".join(dialect.event(frame) for frame in frames))
    thought = [] if dialect is OPENAI else [Reasoning()]
    assert seen == [ModelNamed("m"), *thought, Content("one two")]


@EACH
def test_a_failure_within_a_stream_is_a_fault_or_at_least_no_finish(dialect: Dialect) -> None:
    frames = [*dialect.opening_frames(DONE, True), *dialect.token_frames(DONE, True)]
    body = b"".join(dialect.event(frame) for frame in frames) + dialect.failure(DONE, "oom")
    seen = read(StreamDecoder(), body)
    ends = Content("one two") if dialect is OLLAMA else ReasonCode.PROVIDER_ERROR_EVENT
    assert seen[-1] == ends
    assert not any(isinstance(event, Finished) for event in seen)


def code_of(refused: object) -> ReasonCode:
    assert isinstance(refused, Refused)
    return openai_errors.fault_of_status(refused.status, None, refused.body, now=0.0).code


@pytest.mark.parametrize("dialect", [OPENAI, VLLM, VLLM_0_10, LLAMACPP])
def test_a_prompt_over_the_window_has_its_code(dialect: Dialect) -> None:
    assert code_of(dialect.too_long(9000, 4096)) is ReasonCode.PROVIDER_CONTEXT_OVERFLOW


@EACH
def test_refusals_have_their_codes(dialect: Dialect) -> None:
    expected = {
        400: ReasonCode.PROVIDER_BAD_REQUEST,
        401: ReasonCode.PROVIDER_AUTH,
        404: ReasonCode.PROVIDER_MODEL_NOT_FOUND,
        429: ReasonCode.PROVIDER_RATE_LIMITED,
        500: ReasonCode.PROVIDER_SERVER_ERROR,
        503: ReasonCode.PROVIDER_OVERLOADED,
    }
    assert {status: code_of(dialect.refusal(status, "no")) for status in expected} == expected


def test_a_cold_or_busy_server_has_its_code() -> None:
    assert code_of(LLAMACPP.loading()) is ReasonCode.PROVIDER_LOADING
    for dialect in (OPENAI, VLLM, OLLAMA):
        assert code_of(dialect.busy()) is ReasonCode.PROVIDER_OVERLOADED


def test_a_prompt_cut_in_silence_shows_only_in_the_usage() -> None:
    behaviour = Behaviour(persona="echo", dialect=OLLAMA)
    plan = plan_response(behaviour, posted(chat("word " * 9000)))
    body = b"".join(step.data for step in plan.steps).partition(b"\r\n\r\n")[2]
    *_, usage = read(PlainDecoder(), body)
    assert isinstance(usage, UsageReport)
    assert usage == evolve(usage, prompt_tokens=4096)


@EACH
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_of_a_tool_is_no_text_and_no_good_end(dialect: Dialect, stream: bool) -> None:
    """The gateway offers no tools, so a model that calls one has not answered."""
    request = posted(chat("the weather?", tools=[tool()], stream=stream))
    plan = plan_response(Behaviour(dialect=dialect), request)
    body = b"".join(step.data for step in plan.steps).partition(b"\r\n\r\n")[2]
    decoder = StreamDecoder() if stream else PlainDecoder()
    seen = read(decoder, dechunked(body) if stream else body)
    assert Finished("tool_calls") in seen
    assert not any(isinstance(event, Content) for event in seen)
