"""From what an answer says to the plan of its response, stage by stage.

A scenario may change each stage: the text, the frames, the events, the response, the plan
(`scenario` says what they are). Without one, every stage passes on what it is given.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

from attrs import evolve, frozen

from fakes.openai_compat_server import wire
from fakes.openai_compat_server.catalogue import Chosen
from fakes.openai_compat_server.dialects import Dialect, JsonObject, KeepAlive
from fakes.openai_compat_server.http_request import HttpRequest
from fakes.openai_compat_server.pacing import Pace
from fakes.openai_compat_server.plan import Ending, Plan, Step
from fakes.openai_compat_server.scenario import Frame, Frames, Play, Scenario
from fakes.openai_compat_server.seeded import Draw
from fakes.openai_compat_server.wire import Headers, Response

_CJK = r"\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"\s*(?:[{_CJK}]{{1,2}}|[^\s{_CJK}]{{1,8}})|\s+")


@frozen
class Answering:
    """One answer in the making: to what, in whose manner, how fast, and in which scenario."""

    request: HttpRequest
    dialect: Dialect
    pace: Pace
    chosen: Chosen
    stream: bool
    sources: int = 0  # how many passages the prompt frames

    @property
    def draw(self) -> Draw:
        return self.pace.draw

    @property
    def scenario(self) -> Scenario:
        return self.chosen.scenario

    @property
    def play(self) -> Play:
        return Play(self.chosen.values, self.stream, self.dialect, self.draw, self.sources)

    @property
    def ending(self) -> Ending:
        return Ending.KEEP if self.request.keeps_alive else Ending.CLOSE


def said(answering: Answering, text: str) -> tuple[str, ...]:
    """The text stage: what the scenario makes of the text, in tokens."""
    text = answering.scenario.text(answering.play, text)
    cut = answering.scenario.pieces
    return cut(text) if cut is not None else tuple(_TOKEN.findall(text))


def plain(answering: Answering, body: JsonObject, tokens: int) -> Plan:
    """A plain answer, which takes as long as its stream would."""
    pace, dialect = answering.pace, answering.dialect
    gaps = sum(pace.between(at) for at in range(1, tokens))
    play, scenario = answering.play, answering.scenario
    whole = (Frame(round(pace.first() + gaps, 6), body),)
    changed = scenario.frames(play, whole)
    made = tuple(Step(frame.delay_s, dialect.to_json(frame.payload)) for frame in changed)
    pieces = scenario.events(play, made)
    length = str(sum(len(piece.data) for piece in pieces))
    about = (("content-type", dialect.json_type), ("content-length", length))
    headers = (*dialect.response_headers, *about, connection(answering.ending))
    response = scenario.response(play, Response(200, headers, pieces, answering.ending))
    return evolve(scenario.plan(play, wire.plan_of(response)), scenario=scenario.name)


def streamed(
    answering: Answering,
    opening: Iterable[JsonObject],
    tokens: Iterable[JsonObject],
    closing: Iterable[JsonObject],
) -> Plan:
    """A stream, each event a step and a chunk; HTTP/1.0 has no chunks and ends by closing."""
    dialect, scenario = answering.dialect, answering.scenario
    ordinary = tuple(_paced(answering, opening, tokens, closing))
    frames = scenario.frames(evolve(answering.play, spoken=_spoken(ordinary)), ordinary)
    play = evolve(answering.play, spoken=_spoken(frames))
    made = [Step(frame.delay_s, dialect.event(frame.payload)) for frame in frames]
    events = scenario.events(play, (*made, Step(0.0, dialect.done_event)))
    response = Response(200, _stream_headers(answering), events, answering.ending, head_first=True)
    response = scenario.response(play, response)
    if response.head_first:
        response = evolve(response, body=tuple(_kept_alive(dialect.keep_alive, response.body)))
    return evolve(scenario.plan(play, wire.plan_of(response)), scenario=scenario.name)


def connection(ending: Ending) -> tuple[str, str]:
    return "connection", "keep-alive" if ending is Ending.KEEP else "close"


def _stream_headers(answering: Answering) -> Headers:
    chunked = (("transfer-encoding", "chunked"),) if answering.request.version == "1.1" else ()
    dialect = answering.dialect
    ending = connection(answering.ending)
    return (*dialect.response_headers, *dialect.stream_headers, *chunked, ending)


def _paced(
    answering: Answering,
    opening: Iterable[JsonObject],
    tokens: Iterable[JsonObject],
    closing: Iterable[JsonObject],
) -> Iterator[Frame]:
    """Each frame with its wait; the first of all waits for the first token."""
    pace = answering.pace
    waits_s = chain([pace.first()], repeat(0.0))
    for payload in opening:
        yield Frame(next(waits_s), payload)
    for at, payload in enumerate(tokens):
        yield Frame(pace.between(at) if at else next(waits_s), payload)
    for payload in closing:
        yield Frame(next(waits_s), payload)


def _spoken(frames: Frames) -> int:
    """How many frames stand before the one that finishes the choice."""
    for at, frame in enumerate(frames):
        choices = frame.payload.get("choices")
        if isinstance(choices, list) and any(choice.get("finish_reason") for choice in choices):
            return at
    return len(frames)


def _kept_alive(keep_alive: KeepAlive | None, steps: Iterable[Step]) -> Iterator[Step]:
    """The steps, and what the server sends into each silence between them."""
    for step in steps:
        left_s = step.delay_s
        while keep_alive and left_s > keep_alive.every_s:
            yield Step(keep_alive.every_s, keep_alive.data)
            left_s = round(left_s - keep_alive.every_s, 6)
        yield Step(left_s, step.data)
