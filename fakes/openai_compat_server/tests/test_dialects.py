"""Goal: each dialect writes what its server writes, to the byte.

Method: golden traces, one file to a call; then the quirks that no single trace shows.
"""

import json
import re
from collections.abc import Iterator

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from fakes.openai_compat_server import Behaviour, Ending, Latency, plan_response
from fakes.openai_compat_server.chat_request import Message
from fakes.openai_compat_server.dialects import (
    DIALECTS,
    LLAMACPP,
    OLLAMA,
    OPENAI,
    VLLM,
    VLLM_0_10,
    Dialect,
    JsonObject,
    Mute,
    Refused,
    kept_messages,
)
from fakes.openai_compat_server.seeded import draw_for
from fakes.openai_compat_server.tests.fake_client import (
    chat,
    dechunked,
    events,
    posted,
)
from fakes.openai_compat_server.tests.golden_traces import DONE, GOLDEN, failed_stream, traces

THINKING = evolve(DONE, reasoning=("hm", "…"))


def _cases() -> Iterator[tuple[str, bytes]]:
    for dialect in DIALECTS.values():
        yield from traces(dialect)


@pytest.mark.parametrize(("name", "data"), [pytest.param(*case, id=case[0]) for case in _cases()])
def test_bytes_are_those_of_the_golden_trace(name: str, data: bytes) -> None:
    assert data == (GOLDEN / name).read_bytes()


def test_no_golden_trace_is_left_over() -> None:
    names = {name for name, _ in _cases()}
    assert {path.name for path in GOLDEN.iterdir()} - {".gitattributes"} == names


def deltas(dialect: Dialect) -> list[JsonObject]:
    frames = [*dialect.opening_frames(THINKING, True), *dialect.token_frames(THINKING, True)]
    parsed = [json.loads(dialect.event(frame).removeprefix(b"data: ")) for frame in frames]
    return [frame["choices"][0]["delta"] for frame in parsed]


@pytest.mark.parametrize(
    ("dialect", "opening"),
    [
        (OPENAI, [{"role": "assistant", "content": "", "refusal": None}, {"content": "one"}]),
        (VLLM, [{"role": "assistant", "content": ""}, {"reasoning": "hm"}]),
        (VLLM_0_10, [{"role": "assistant", "content": ""}, {"reasoning_content": "hm"}]),
        (LLAMACPP, [{"role": "assistant", "content": None}, {"reasoning_content": "hm"}]),
        (OLLAMA, [{"role": "assistant", "content": "", "reasoning": text} for text in ("hm", "…")]),
    ],
)
def test_a_stream_opens_with_role_and_reasoning_where_the_server_puts_them(
    dialect: Dialect, opening: list[JsonObject]
) -> None:
    assert deltas(dialect)[:2] == opening


@pytest.mark.parametrize(
    ("dialect", "field"),
    [(VLLM, "reasoning"), (LLAMACPP, "reasoning_content"), (OLLAMA, "reasoning")],
)
def test_a_plain_answer_shows_its_reasoning(dialect: Dialect, field: str) -> None:
    body = json.loads(dialect.to_json(dialect.plain_body(THINKING)))
    assert body["choices"][0]["message"][field] == "hm…"


def test_openai_keeps_reasoning_to_itself() -> None:
    assert b"hm" not in OPENAI.to_json(OPENAI.plain_body(THINKING))


EACH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))


@pytest.mark.parametrize(
    ("dialect", "status"), [(OPENAI, 415), (VLLM, 400), (LLAMACPP, 200), (OLLAMA, 200)]
)
def test_a_body_that_is_not_called_json_is_read_where_the_server_reads_it(
    dialect: Dialect, status: int
) -> None:
    request = posted(chat(), **{"content-type": "text/plain"})
    assert plan_response(Behaviour(dialect=dialect), request).status == status


def test_timings_stand_on_the_finish_when_llamacpp_was_asked_for_no_usage() -> None:
    (finish,) = LLAMACPP.closing_frames(DONE, False)
    assert list(finish)[-1] == "timings"
    finish, usage = LLAMACPP.closing_frames(DONE, True)
    assert "timings" not in finish
    assert list(usage)[-2:] == ["usage", "timings"]


@pytest.mark.parametrize(
    ("dialect", "says_so", "says_done"),
    [
        (OPENAI, True, False),
        (VLLM, True, True),
        (VLLM_0_10, True, True),
        (LLAMACPP, True, False),
        (OLLAMA, False, False),
    ],
)
def test_a_failed_stream_ends_as_the_server_ends_it(
    dialect: Dialect, says_so: bool, says_done: bool
) -> None:
    said = events(failed_stream(dialect))
    assert ("[DONE]" in said) is says_done
    assert any('{"error"' in event for event in said) is says_so
    assert not any('"finish_reason":"' in event for event in said)


@pytest.mark.parametrize(
    ("dialect", "shape"),
    [
        (OPENAI, r"chatcmpl-[0-9a-f]{29}"),
        (VLLM, r"chatcmpl-[0-9a-f]{32}"),
        (LLAMACPP, r"chatcmpl-[0-9A-Za-z]{32}"),
        (OLLAMA, r"chatcmpl-[0-9]{1,3}"),
    ],
)
def test_ids_have_the_servers_shape(dialect: Dialect, shape: str) -> None:
    ids = [dialect.chat_id(draw_for(seed)) for seed in range(3000)]
    assert all(re.fullmatch(shape, each) for each in ids)
    if dialect is OLLAMA:
        assert {int(each.removeprefix("chatcmpl-")) for each in ids} <= set(range(999))
        assert len(set(ids)) < len(ids)
    else:
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (OPENAI, {"type": "invalid_request_error", "code": "context_length_exceeded"}),
        (VLLM, {"type": "BadRequestError", "code": 400, "param": "input_tokens"}),
        (LLAMACPP, {"type": "exceed_context_size_error", "n_prompt_tokens": 30, "n_ctx": 20}),
    ],
)
def test_a_prompt_over_the_window_is_refused(dialect: Dialect, expected: JsonObject) -> None:
    behaviour = Behaviour(persona="echo", dialect=dialect, window_tokens=20)
    plan = plan_response(behaviour, posted(chat("word " * 24)))
    error = json.loads(plan.steps[0].data.partition(b"\r\n\r\n")[2])["error"]
    assert plan.status == 400
    assert {name: error[name] for name in expected} == expected


def test_a_prompt_over_the_window_is_cut_in_silence_when_the_server_is_ollama() -> None:
    messages = [
        {"role": "system", "content": "S" * 8},
        {"role": "user", "content": "old " * 200},
        {"role": "user", "content": "new " * 4},
    ]
    behaviour = Behaviour(persona="echo", dialect=OLLAMA, window_tokens=20)
    plan = plan_response(behaviour, posted({"model": "m", "messages": messages}))
    body = json.loads(plan.steps[0].data.partition(b"\r\n\r\n")[2])
    assert plan.status == 200
    assert body["usage"]["prompt_tokens"] == 6  # of 206


def test_four_thousand_tokens_are_ollamas_window_when_nobody_says_otherwise() -> None:
    plan = plan_response(Behaviour(persona="echo", dialect=OLLAMA), posted(chat("word " * 9000)))
    body = json.loads(plan.steps[0].data.partition(b"\r\n\r\n")[2])
    assert body["usage"]["prompt_tokens"] == 4096


_TURNS = st.builds(Message, st.sampled_from(["system", "user"]), st.text(max_size=30))


@given(st.lists(_TURNS, min_size=1, max_size=8), st.integers(0, 100))
def test_what_is_kept_fits_and_ends_as_the_prompt_ended(
    messages: list[Message], chars_max: int
) -> None:
    kept = kept_messages(messages, chars_max)
    assert sum(len(message.text) for message in kept) <= chars_max
    assert messages[-1].text.endswith(kept[-1].text)
    if sum(len(message.text) for message in messages) <= chars_max:
        assert kept == tuple(messages)


def refused(answer: Refused | Mute | None) -> tuple[int, object]:
    assert isinstance(answer, Refused)
    return answer.status, json.loads(answer.body)["error"]


def test_a_cold_start_is_a_503_only_where_the_server_says_so() -> None:
    message = {"message": "Loading model", "type": "unavailable_error", "code": 503}
    assert refused(LLAMACPP.loading()) == (503, message)
    assert VLLM.loading() is Mute.CLOSED
    assert OLLAMA.loading() is Mute.SILENT


def test_a_busy_server_says_so_or_lets_wait() -> None:
    assert LLAMACPP.busy() is None
    message = "server busy, please try again.  maximum pending requests exceeded"
    error = {"message": message, "type": "api_error", "param": None, "code": None}
    assert refused(OLLAMA.busy()) == (503, error)
    assert [refused(dialect.busy())[0] for dialect in (OPENAI, VLLM)] == [503, 503]


def test_a_silence_is_filled_with_comments_when_the_server_is_llamacpp() -> None:
    behaviour = Behaviour(persona="echo", dialect=LLAMACPP, latency=Latency(100.0, 0.0))
    steps = plan_response(behaviour, posted(chat("hi", stream=True))).steps
    quiet = plan_response(evolve(behaviour, dialect=OPENAI), posted(chat("hi", stream=True))).steps
    pings = [step for step in steps if step.data == b"3\r\n:\n\n\r\n"]
    assert len(pings) == quiet[1].delay_s // 30
    assert all(step.delay_s == 30 for step in pings)
    assert sum(step.delay_s for step in steps) == pytest.approx(quiet[1].delay_s)


@EACH
def test_only_llamacpp_closes_after_a_refusal(dialect: Dialect) -> None:
    plan = plan_response(Behaviour(dialect=dialect), posted(b"{"))
    assert (plan.ending is Ending.CLOSE) is (dialect is LLAMACPP)


@EACH
def test_every_dialect_streams_the_text_it_was_given(dialect: Dialect) -> None:
    plan = plan_response(
        Behaviour(persona="echo", dialect=dialect), posted(chat("a <b> 二", stream=True))
    )
    body = b"".join(step.data for step in plan.steps).partition(b"\r\n\r\n")[2]
    *found, last = events(dechunked(body))
    texts = [json.loads(event)["choices"][0]["delta"].get("content") for event in found]
    assert "".join(text or "" for text in texts) == "a <b> 二"
    assert last == "[DONE]"
