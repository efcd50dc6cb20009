"""Goal: the fake's content catalogue and the gateway agree on how every text ends.

Method: each operator's text, for answers of every kind and several draws, through the gateway's
real judgement of a reply: whole, in single characters, and cut as the operator prefers; then once
more from the bytes of a model server, plain and streamed.

Where the gateway gives another code than CONTRACT §4 and §7 ask for, the operator stands in `OWED`
with the code that is given; a row there that is no longer true fails too.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Final

import pytest
from attrs import frozen

from contracts.limits import ANSWER_MAX_CHARS
from contracts.reasons import ReasonCode
from fakes.openai_compat_server.content import CONTENT, OK, ValidAnswer, valid_json
from fakes.openai_compat_server.content_operator import in_runs
from fakes.openai_compat_server.tests.content_answers import (
    ANSWERS,
    SOURCE_URL,
    found,
    is_kept,
    some_draw,
)
from llmgw.faults import GenerationFault
from llmgw.providers.openai_wire import PlainDecoder, StreamDecoder
from llmgw.providers.port import Content, Finished, ModelEvent
from llmgw.reply import CitedChunks, Reply, TextOut

OWED: Final[dict[str, str]] = {}

SEEDS: Final = range(3)
# Past the longest answer, single characters show nothing that those before them did not.
SINGLES_MAX: Final = ANSWER_MAX_CHARS + 256


@frozen
class Verdict:
    """How a reply ended, and what of it was shown."""

    ends: str
    aliases: tuple[str, ...]
    text: str


def judged(answer: ValidAnswer, events: Iterable[ModelEvent]) -> Verdict:
    reply = Reply(
        alias_count=answer.alias_count,
        citations_required=True,
        allowed_urls=[SOURCE_URL],
        allowed_texts=[],
        prompt_chars=0,
    )
    out: list[CitedChunks | TextOut] = []
    ends: str = OK
    try:
        for event in events:
            out.extend(reply.feed(event))
        out.extend(reply.close())
    except GenerationFault as fault:
        ends = fault.code
    aliases = [item.aliases for item in out if isinstance(item, CitedChunks)]
    text = "".join(item.text for item in out if isinstance(item, TextOut))
    return Verdict(ends, aliases[0] if aliases else (), text)


def cuts(name: str, text: str) -> Iterable[tuple[str, ...]]:
    """The ways to cut a text that are tried; an empty text is no content at all."""
    yield (text,) if text else ()
    yield tuple(text[:SINGLES_MAX]) + ((text[SINGLES_MAX:],) if text[SINGLES_MAX:] else ())
    if pieces := CONTENT[name].pieces:
        yield pieces(text)


def contents(pieces: Iterable[str]) -> Iterator[ModelEvent]:
    yield from map(Content, pieces)
    yield Finished("stop")


def read(decoder: StreamDecoder | PlainDecoder, data: bytes) -> Iterator[ModelEvent]:
    decoder.feed(data)
    while (event := decoder.next_event()) is not None:
        yield event
    decoder.end()
    while (event := decoder.next_event()) is not None:
        yield event


def streamed(pieces: Iterable[str]) -> bytes:
    """The pieces as a model server's events, the last of which says `stop`."""
    deltas = [({"content": piece}, None) for piece in pieces]
    choices = [
        {"index": 0, "delta": delta, "finish_reason": reason}
        for delta, reason in [*deltas, ({}, "stop")]
    ]
    return b"".join(b"data: " + to_json({"choices": [it]}) + b"\n\n" for it in choices)


def plain(text: str) -> bytes:
    choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
    return to_json({"choices": [choice]})


def to_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@pytest.mark.parametrize("name", CONTENT)
def test_gateway_ends_as_the_catalogue_says(name: str) -> None:
    expected = OWED.get(name, CONTENT[name].ends)
    for answer in ANSWERS:
        for text in {CONTENT[name].apply(answer, some_draw(seed)) for seed in SEEDS}:
            for pieces in cuts(name, text):
                seen = judged(answer, contents(pieces))
                assert seen.ends == expected, text[:300]
                if seen.ends == OK:
                    assert (seen.aliases, seen.text) == found(text)
                    assert is_kept(answer, seen.aliases, seen.text)


@pytest.mark.parametrize("name", CONTENT)
def test_both_modes_end_the_same_when_the_text_is_on_the_wire(name: str) -> None:
    expected, answer = OWED.get(name, CONTENT[name].ends), ANSWERS[0]
    text = CONTENT[name].apply(answer, some_draw(0))
    pieces = (*(CONTENT[name].pieces or in_runs(5))(text[:SINGLES_MAX]), text[SINGLES_MAX:])
    assert judged(answer, read(StreamDecoder(), streamed(pieces))).ends == expected
    assert judged(answer, read(PlainDecoder(), plain(text))).ends == expected


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_are_valid_to_begin_with(answer: ValidAnswer) -> None:
    assert judged(answer, contents([valid_json(answer)])) == Verdict(
        OK, answer.aliases, answer.answer
    )


def test_what_is_owed_is_owed_still() -> None:
    assert all(code != CONTENT[name].ends for name, code in OWED.items())
    assert {*OWED.values()} <= {*ReasonCode, OK}
