"""The fake's catalogue as cases, each a row in one mode, and what came of playing them.

    case_of(row, stream)                 its question holds a mark that the fake's script knows
    await play(stack, cases)             many at once; what is played, by case
    played.faults(case)                  what is wrong with it, a line each

The oracles are those of the simulation: here they judge what passed between the client and the BFF,
what the fake's journal says it sent, and each program's log. Faults of time only wait, so they are
all played at once; the others by few, for two cores have enough to do.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain as chained
from typing import Final, cast

import trio
from attrs import evolve, field, frozen

from fakes.openai_compat_server.catalogue import CATALOGUE
from fakes.openai_compat_server.scenario import Face, Scenario
from harness.checkers import answers, codes, truth
from harness.evidence import AtRest, Evidence, LogLine, ModelCall, last_word, request_id
from harness.faults.chain import (
    BFF_S,
    CONNECT_S,
    FIRST_TOKEN_S,
    GENERATION_S,
    GRACE_S,
    HOPS,
    IDLE_S,
    QUESTION,
    ask,
    request_of,
)
from harness.plans import Call, Plan
from harness.raw_client import dial
from harness.stack import Stack
from harness.wire_log import Exchange, Piece, WireLog

# As the catalogue has them, these go on for longer than anybody wants to wait, or too slowly.
_QUICKLY: Final[Mapping[str, str]] = {
    "slow-drip": "slow-drip?every=400ms",
    "heartbeats-only": "heartbeats-only?every=200ms&for=30s",
    "heartbeats-hide-stall": "heartbeats-hide-stall?every=200ms&for=30s",
}
# These are work for every program: a thousand pieces and more for one answer.
_HEAVY: Final = ("byte-writes", "huge-event", "interim-responses")
# The limit after which a code is due; any other is due before any of them.
LIMITS_S: Final[Mapping[str, float]] = {
    "PROVIDER_CONNECT_TIMEOUT": CONNECT_S,
    "PROVIDER_FIRST_TOKEN_TIMEOUT": FIRST_TOKEN_S,
    "PROVIDER_IDLE_TIMEOUT": IDLE_S,
    "PROVIDER_TIMEOUT": GENERATION_S,
}
# The kernel may tell of a reset while it still connects, and then there never was a connection.
_OR_ELSE: Final[Mapping[str, str]] = {"accept-reset": "PROVIDER_UNREACHABLE"}
_EARLY_S: Final = 0.05
AT_ONCE: Final = 3
_Checker = Callable[[Evidence], Iterator[str]]
_CHECKERS: Final[Sequence[_Checker]] = (
    *answers.CHECKERS,
    truth.text_waits_for_its_proof,
    truth.ok_is_cited,
    codes.log_and_answer_agree,
)
# These need all that the model wrote; of the largest answers the fake's journal does not keep it.
_CHECKERS_BY_TEXT: Final[Sequence[_Checker]] = (truth.text_is_the_models, truth.ok_is_whole)
_NOTHING_LEFT: Final = AtRest((), {}, {}, (), 0)


@frozen
class Case:
    """One row in one mode; `number` makes it one among all."""

    row: Scenario = field(eq=False)
    stream: bool
    number: int

    @property
    def mark(self) -> str:
        """In its question, what the fake tells it by."""
        return f"(case {self.number})"

    @property
    def trace_id(self) -> str:
        return f"{self.number:032x}"

    @property
    def play(self) -> str:
        return _QUICKLY.get(self.row.name, self.row.name)

    @property
    def due(self) -> str:
        """The word it must end in."""
        return self.row.ends.of(self.stream)

    def __str__(self) -> str:
        return f"{self.row.name}-{'streaming' if self.stream else 'plain'}"


CASES: Final[Sequence[Case]] = tuple(
    Case(row, stream, number)
    for number, (row, stream) in enumerate(
        ((row, stream) for row in CATALOGUE.values() for stream in (True, False)), start=1
    )
)
RULES: Final[Mapping[str, str]] = {
    case.mark: case.play for case in CASES if case.row.face is Face.ANSWER
}


@frozen
class Played:
    """One case, played."""

    case: Case
    exchange: Exchange
    evidence: Evidence
    is_written_down: bool  # the journal has every byte that the fake sent

    @property
    def took_s(self) -> float:
        ended_at = self.exchange.ended_at
        return GRACE_S + GENERATION_S if ended_at is None else ended_at - self.exchange.asked_at

    def faults(self) -> Iterator[str]:
        """What is wrong with it."""
        word = last_word(self.exchange)
        if word not in (self.case.due, _OR_ELSE.get(self.case.row.name)):
            yield f"it ends in {word}, where {self.case.due} is due"
        # What is due at once may take what the machine needs, but no longer than any call.
        at_least_s = LIMITS_S.get(self.case.due, 0.0)
        limit_s = LIMITS_S.get(self.case.due, BFF_S)
        if not at_least_s - _EARLY_S < self.took_s < limit_s + GRACE_S:
            yield f"it took {self.took_s:.2f} s, where the limit is {limit_s:g} s"
        if self.case.row.face is Face.ANSWER and not self._is_performed():
            yield "the fake's journal does not have it"
        yield from _cited_outside(self.exchange)
        for checker in (*_CHECKERS, *(_CHECKERS_BY_TEXT if self.is_written_down else ())):
            yield from (f"{checker.__name__}: {line}" for line in checker(self.evidence))
        yield from self._logged_otherwise(word)

    def _is_performed(self) -> bool:
        return any(call.scenario.startswith(self.case.row.name) for call in self.evidence.model)

    def _logged_otherwise(self, word: str) -> Iterator[str]:
        """Every hop closes the call in its log, once and with the same code."""
        for name in HOPS:
            said = [line["reason_code"] or line["status"] for line in self.evidence.logs[name]]
            if said != [word]:
                yield f"{name} logged {said}, and the client got {word}"


def _cited_outside(exchange: Exchange) -> Iterator[str]:
    """No citation, in any event, but of a source of this very answer, with its title and url."""
    parts = [*(event.data or {} for event in exchange.events()), exchange.answer_json or {}]

    def items(key: str) -> Iterator[dict[str, object]]:
        return chained.from_iterable(
            cast(list[dict[str, object]], part.get(key) or ()) for part in parts
        )

    sources = {(it["chunk_id"], it["title"], it["url"]) for it in items("sources")}
    for it in items("citations"):
        if (it["chunk_id"], it["title"], it["url"]) not in sources:
            yield f"{it} is cited, and is no source of this answer"


async def play(stack: Stack, cases: Sequence[Case]) -> Mapping[Case, Played]:
    """Ask for each of them, and read what the fake and the programs say of it."""
    asked: dict[Case, Evidence] = {}

    async def together(these: Sequence[Case], at_once: int) -> None:
        places = trio.CapacityLimiter(at_once)

        async def one(case: Case) -> None:
            async with places:
                asked[case] = await _asked(stack, case)

        async with trio.open_nursery() as nursery:
            for case in these:
                nursery.start_soon(one, case)

    waiting = [case for case in cases if case.due in LIMITS_S]
    heavy = [case for case in cases if case.row.name in _HEAVY]
    await together(heavy, 1)
    await together([case for case in cases if case not in (*waiting, *heavy)], AT_ONCE)
    await together(waiting, max(1, len(waiting)))
    return await _with_what_was_written_down(stack, asked)


async def _asked(stack: Stack, case: Case) -> Evidence:
    request = request_of(
        f"{QUESTION} {case.mark}",
        stream=case.stream,
        request_id=request_id(0),
        trace_id=case.trace_id,
    )
    wire = await ask(stack["bff"].port, request)
    return evidence_of(Call(stream=case.stream, model=case.row.name), wire)


def evidence_of(call: Call, wire: WireLog) -> Evidence:
    """One call, over, and what passed between its client and the BFF; nothing else is known."""
    return Evidence(
        plan=Plan(calls=(call,)),
        wire=wire,
        model=(),
        searches=(),
        logs={},
        at_rest=_NOTHING_LEFT,
        recovered=None,
        calls_end_at=trio.current_time(),
    )


async def _with_what_was_written_down(
    stack: Stack, asked: Mapping[Case, Evidence]
) -> Mapping[Case, Played]:
    entries: Sequence[tuple[ModelCall, bool]] = ()
    if any(case.row.face is Face.ANSWER for case in asked):
        entries = await _journal(stack["fake"].port)
    logs = {name: _closing_lines(stack, name) for name in HOPS}
    played: dict[Case, Played] = {}
    for case, evidence in asked.items():
        mark = case.mark.encode()
        mine = [entry for entry in entries if mark in entry[0].request]
        whole = evolve(
            evidence,
            model=tuple(call for call, _ in mine),
            logs={name: tuple(lines.get(case.trace_id, ())) for name, lines in logs.items()},
        )
        is_written_down = all(is_whole for _, is_whole in mine)
        played[case] = Played(case, whole.exchanges[0], whole, is_written_down)
    return played


def _closing_lines(stack: Stack, name: str) -> Mapping[str, Sequence[LogLine]]:
    """The lines with which a program closed its calls, by their trace."""
    found: dict[str, list[LogLine]] = {}
    for line in stack[name].ended():
        found.setdefault(str(line["trace_id"]), []).append(line)
    return found


async def _journal(port: int) -> Sequence[tuple[ModelCall, bool]]:
    """What the fake performed since it was last asked, and whether all of it is there."""
    async with dial(port) as client:
        await client.send_raw(b"GET /__admin/journal HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        assert await client.head() == 200
        journal = json.loads(await client.body())
    assert journal["entries_dropped"] == 0, "the journal was asked too late"
    async with dial(port) as client:
        await client.send_raw(b"DELETE /__admin/journal HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        assert await client.head() == 200
    return [(_model_call(entry), not entry["chunks_dropped"]) for entry in journal["entries"]]


def _model_call(entry: Mapping[str, object]) -> ModelCall:
    chunks = cast(list[dict[str, object]], entry["chunks"])
    return ModelCall(
        scenario=str(entry["scenario"]),
        request=_bytes(cast(dict[str, str], entry["request"])),
        sent=tuple(Piece(cast(float, it["at"]), _bytes(cast(dict[str, str], it))) for it in chunks),
        began_at=cast(float, entry["began_at"]),
        ended_at=cast("float | None", entry["ended_at"]),
        client_left_at=cast("float | None", entry["client_left_at"]),
        whole=entry["steps_sent"] == entry["steps_planned"],
    )


def _bytes(fields: Mapping[str, str]) -> bytes:
    return fields["utf8"].encode() if "utf8" in fields else base64.b64decode(fields["base64"])
