"""Goal: the older face repeats, stops, counts and refuses as the API does.

Method: bodies in, requests or refusals out; then whole plans, plain and streamed.
"""

import json

import pytest

from fakes.openai_compat_server import Behaviour, HttpRequest, Latency, Plan, plan_response
from fakes.openai_compat_server.completions import MAX_TOKENS, parse_prompt
from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.tests.fake_client import dechunked, frames

ECHO = Behaviour(seed=7, persona="echo", latency=Latency(0, 0))
PATH = "/v1/completions"
HEADERS = (("host", "x"), ("content-type", "application/json"))


def prompt(text: object = "one two three", **fields: object) -> bytes:
    return json.dumps({"model": "m", "prompt": text, **fields}).encode()


def asked(body: bytes) -> tuple[Plan, bytes]:
    """The plan, and the content of its body."""
    plan = plan_response(ECHO, HttpRequest("POST", PATH, "1.1", HEADERS, body))
    head, _, rest = b"".join(step.data for step in plan.steps).partition(b"\r\n\r\n")
    return plan, dechunked(rest) if b"chunked" in head else rest


def answer(**fields: object) -> tuple[str, str, dict[str, int]]:
    """Text, finish reason and usage of a plain answer."""
    plan, body = asked(prompt(**fields))
    assert plan.status == 200
    reply = json.loads(body)
    (choice,) = reply["choices"]
    return choice["text"], choice["finish_reason"], reply["usage"]


def test_a_plain_answer_has_the_shape_of_the_older_face() -> None:
    _, body = asked(prompt())
    reply = json.loads(body)
    assert reply["id"].startswith("cmpl-")
    assert (reply["object"], reply["model"]) == ("text_completion", "m")
    choice = {"text": "one two three", "index": 0, "logprobs": None, "finish_reason": "stop"}
    assert reply["choices"] == [choice]
    assert reply["usage"]["prompt_tokens"] == 4


def test_the_prompt_comes_first_when_it_is_to_be_echoed() -> None:
    text, reason, usage = answer(echo=True)
    assert (text, reason) == ("one two threeone two three", "stop")
    # What is repeated was not completed.
    assert usage == answer()[2]
    assert answer(echo=False)[0] == "one two three"


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ("two", "one "),
        (["three", "ne"], "o"),
        ("one", ""),
        ("four", "one two three"),
        (None, "one two three"),
    ],
)
def test_the_answer_ends_before_the_first_stop(stop: object, text: str) -> None:
    assert answer(stop=stop)[:2] == (text, "stop")


def test_a_long_answer_is_cut_as_asked_and_unasked() -> None:
    assert answer(max_tokens=2)[:2] == ("one two ", "length")
    assert answer(text="ab " * 100)[:2] == (("ab " * 100)[: MAX_TOKENS * 4], "length")


@pytest.mark.parametrize("echo", [False, True])
def test_a_stream_is_the_plain_answer_in_frames_with_usage_at_the_end(echo: bool) -> None:
    options = {"include_usage": True}
    _, body = asked(prompt(stream=True, stream_options=options, echo=echo))
    *told, finish, usage = frames(body)
    text = "".join(frame["choices"][0]["text"] for frame in told)  # type: ignore[index]  # frames are JSON
    plain, reason, counted = answer(echo=echo)
    assert text == plain
    assert finish["choices"] == [
        {"text": "", "index": 0, "logprobs": None, "finish_reason": reason}
    ]
    assert all(frame["usage"] is None for frame in (*told, finish))
    assert (usage["choices"], usage["usage"]) == ([], counted)
    assert len({frame["id"] for frame in (*told, finish, usage)}) == 1


def test_a_stream_has_no_word_of_usage_when_nobody_asked() -> None:
    _, body = asked(prompt(stream=True))
    assert all("usage" not in frame for frame in frames(body))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b'{"model": "m"}', "prompt"),
        (b'{"prompt": "a"}', "model"),
        (prompt(None), "prompt"),
        (prompt(1), "prompt"),
        (prompt([1, 2]), "prompt"),
        (prompt([[1, 2]]), "prompt"),
        (prompt([]), "prompt"),
        (prompt(["a", "b"]), "prompt"),
        (prompt(n=2), "n"),
        (prompt(best_of=2), "best_of"),
        (prompt(best_of="1"), "best_of"),
        (prompt(echo="yes"), "echo"),
        (prompt(stream=1), "stream"),
        (prompt(max_tokens=-1), "max_tokens"),
        (prompt(stop=7), "stop"),
        (prompt(temperature=3), "temperature"),
        (prompt(stream_options={"include_usage": True}), "stream_options"),
    ],
)
def test_what_the_api_refuses_is_a_400_that_names_its_parameter(
    body: bytes, param: str | None
) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_prompt(body)
    assert refusal.value.param == param
    plan, said = asked(body)
    assert plan.status == 400
    assert json.loads(said)["error"]["param"] == param


def test_one_prompt_in_an_array_is_a_prompt() -> None:
    assert parse_prompt(prompt(["a"])) == parse_prompt(prompt("a"))
    assert parse_prompt(prompt("a", best_of=1, n=1)).prompt == "a"
