"""The gate: what the worlds exercised, out of their logs, held against all that there is.

    python -m harness.coverage RUNS…       reads run logs, prints what is owed, fails on what is not

A run log has a line for each world (`record`): what the model server's journal and the network say
was performed, and the bytes that the client got. Nothing else counts, no test's own word. An item
is exercised when both are in one world: the thing done, and the code it must end in at the
client's end of the same chain. What the programs do not do yet stands in `owed.toml`, by name; an
entry of it that was exercised fails the gate too, so the list can only shrink.
"""

import argparse
import base64
import json
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from attrs import frozen

from contracts.order import TRANSITIONS, TRANSITIONS_UNCITED, State, Step
from contracts.reasons import Modes, ReasonCode
from fakes.openai_compat_server.scenario import Ends
from harness.attempts import ATTEMPTS
from harness.causes import Cause, causes
from harness.checkers.answers import own_answers, wants_citations
from harness.checkers.codes import last_said
from harness.evidence import Evidence, word_of
from harness.locks import RATES
from harness.order_breaks import CASES, Table, paths, table_of
from harness.plans import Call
from harness.wire_log import MODEL, Event

OWED_FILE: Final = Path(__file__).with_name("owed.toml")
TABLES: Final[Mapping[str, Table]] = {
    "cited": TRANSITIONS,
    "uncited": TRANSITIONS_UNCITED,
}
_MODES: Final = {True: "streaming", False: "plain"}


def record(evidence: Evidence) -> dict[str, object]:
    """A world as a line of a run log."""
    return {
        "performed": sorted(set(_performed(evidence))),
        "ends": [[_MODES[seen.call.stream], last_said(evidence, seen)] for seen in evidence.seen()],
        "streams": [
            ["cited" if wants_citations(exchange) else "uncited", _steps(exchange.events())]
            for exchange in own_answers(evidence)
            if exchange.streams
        ],
    }


def _performed(evidence: Evidence) -> Iterator[str]:
    """The causes that did befall this world, by their names."""
    for call in evidence.model:
        if call.scenario:
            yield f"model/{call.scenario}"
    for link in evidence.faults_performed:
        kind = "model/" if link.host == MODEL else f"hop/{link.host}:"
        yield kind + link.fault
    for _, name in evidence.searches:
        yield f"search/{name}"
    for _, name in evidence.stores:
        yield f"store/{name}"
    for seen in evidence.seen():
        if seen.call.client and seen.exchange is not None:
            yield f"client/{seen.call.client}"
    yield from _attempts_performed(evidence)
    yield from _rates_performed(evidence)
    for drain in evidence.plan.drains:
        yield f"drain/{drain.program}"


def _attempts_performed(evidence: Evidence) -> Iterator[str]:
    """The rows whose world this is, where the model server was asked as often as they say."""
    *_, last = evidence.seen()
    asked = len(evidence.model_calls(last.topic))
    for row in ATTEMPTS.values():
        if asked == row.asked and evidence.plan == row.make(Call(stream=last.call.stream)):
            yield f"attempts/{row.name}"


def _rates_performed(evidence: Evidence) -> Iterator[str]:
    """The rows whose world this is, where all their calls did arrive."""
    *_, last = evidence.seen()
    if all(seen.exchange is not None for seen in evidence.seen()):
        for row in RATES.values():
            if evidence.plan == row.make(Call(stream=last.call.stream)):
                yield f"rate/{row.name}"


def _steps(events: Sequence[Event]) -> list[str]:
    return [_step(event.name, str(event.value("status"))) for event in events]


def _step(name: str, status: str) -> str:
    return f"done {status}" if name == "done" else name


def demanded() -> Iterator[str]:
    """Everything there is, item by item."""
    for code in ReasonCode:
        if code.modes is not Modes.PLAIN:
            yield f"code {code} streaming"
        if code.modes is not Modes.STREAMING:
            yield f"code {code} plain"
    for cause in causes():
        yield from (f"cause {cause} {mode}" for mode in _modes_of(cause))
    for table, rows in TABLES.items():
        for state in paths(rows):  # those that can be reached
            yield from (f"order {table} {state.name} {step.value}" for step in rows[state])
    for case in CASES:
        if case.after is None:
            yield f"refusal {case.hop} {case.table} {case.state.name} {case.step.value}"


def _modes_of(cause: Cause) -> Iterator[str]:
    """The modes in which a cause has a form."""
    if cause.ends.streaming is not None:
        yield "streaming"
    if cause.ends.plain is not None:
        yield "plain"


@cache
def _ends() -> Mapping[str, Ends]:
    return {str(cause): cause.ends for cause in causes()}


def exercised(lines: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """What these lines of run logs show to have happened."""
    ends = _ends()
    for line in lines:
        if "sent" in line:
            yield from _refusals(line)
            continue
        for mode, word in _pairs(line["ends"]):
            yield f"code {word} {mode}"
            for name in _texts(line["performed"]):
                if name in ends and ends[name].of(mode == "streaming") == word:
                    yield f"cause {name} {mode}"
        for table, steps in _pairs(line["streams"]):
            yield from _transitions(str(table), _texts(steps))


def _transitions(table: str, steps: Sequence[str]) -> Iterator[str]:
    state = State.OPENING
    for step in map(Step, steps):
        yield f"order {table} {state.name} {step.value}"
        state = TABLES[table][state].get(step, State.CLOSED)


def _refusals(line: Mapping[str, object]) -> Iterator[str]:
    """What a played hop sent out of order, and the client got the code for, or nothing of.

    After an `error` its code is the one that counts; after `done` nobody reads on.
    """
    hop, table = str(line["hop"]), str(line["table"])
    rows = table_of("bff" if hop == "bff" else "qs", cited=table == "cited")
    received = base64.b64decode(str(line["received"]))
    code = word_of(200, {"content-type": "text/event-stream"}, received)
    state, due = State.OPENING, "HOP_PROTOCOL_ERROR"
    for step, fields in _steps_sent(base64.b64decode(str(line["sent"]))):
        after = rows[state].get(step)
        if after is None:
            if code == due or state is State.CLOSED:
                yield f"refusal {hop} {table} {state.name} {step.value}"
            return
        state, due = after, str(fields["code"]) if step is Step.ERROR else due


def _steps_sent(sent: bytes) -> Iterator[tuple[Step, Mapping[str, object]]]:
    for frame in sent.split(b"\n\n"):
        name, _, data = frame.partition(b"\n")
        if name.startswith(b"event: "):
            fields = json.loads(data.removeprefix(b"data: "))
            said = _step(name.removeprefix(b"event: ").decode(), str(fields.get("status")))
            yield Step(said), fields


def _pairs(value: object) -> Iterator[tuple[str, object]]:
    assert isinstance(value, list)
    yield from ((str(first), second) for first, second in value)


def _texts(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(item) for item in value]


def owed(path: Path = OWED_FILE) -> Mapping[str, str]:
    """Item -> why it is owed. Raises ValueError for an entry that names nothing there is."""
    entries: dict[str, str] = tomllib.loads(path.read_text())["owed"]
    unknown = sorted(set(entries) - set(demanded()))
    if unknown:
        raise ValueError(f"{path.name}: no such item: {', '.join(unknown)}")
    return entries


@frozen
class Verdict:
    """What the gate says."""

    missed: tuple[str, ...]
    paid: tuple[str, ...]
    owed: Mapping[str, str]
    exercised: int

    @property
    def passes(self) -> bool:
        return not self.missed and not self.paid


def judge(lines: Iterable[Mapping[str, object]], owing: Mapping[str, str]) -> Verdict:
    """Hold what happened against all there is."""
    all_there_is = list(demanded())
    done = set(exercised(lines)) & set(all_there_is)
    missed = [item for item in all_there_is if item not in done and item not in owing]
    return Verdict(tuple(missed), tuple(item for item in owing if item in done), owing, len(done))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 where all is exercised but what is owed."""
    parser = argparse.ArgumentParser(prog="python -m harness.coverage", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUNS", help="a run log")
    parser.add_argument("--owed", type=Path, default=OWED_FILE, help="what need not be there yet")
    options = parser.parse_args(arguments)
    lines = [json.loads(line) for path in options.runs for line in path.read_text().splitlines()]
    verdict = judge(lines, owed(options.owed))
    out = sys.stdout
    for item, why in verdict.owed.items():
        print(f"owed    {item}: {why}", file=out)
    for item in verdict.missed:
        print(f"MISSED  {item}", file=out)
    for item in verdict.paid:
        print(f"PAID    {item} was exercised: take it out of {options.owed.name}", file=out)
    print(
        f"{len(lines)} worlds and calls: {verdict.exercised} items exercised, "
        f"{len(verdict.owed)} owed, {len(verdict.missed)} missed",
        file=out,
    )
    return 0 if verdict.passes else 1


if __name__ == "__main__":
    sys.exit(main())
