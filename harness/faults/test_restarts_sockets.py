"""Goal: programs can be drained and restarted in turn under load, and nobody is cut off.

Method: six clients stream without a pause, a third of their answers slow ones. Each program in turn
is told to stop (SIGTERM), waited for and started again. Every answer that began must be a whole
one by the contract; what the program had taken on is answered, but for answers that outlast its
drain; what was answered is in every log; and each client is answered well again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, cast

import pytest
import trio
from attrs import define, field, frozen

from harness.checkers import answers
from harness.evidence import CUT, Evidence, last_word, request_id
from harness.faults.cases import evidence_of
from harness.faults.chain import (
    GENERATION_S,
    GRACE_S,
    HOPS,
    QUESTION,
    SLOWLY,
    ask,
    eventually,
    open_chain,
    request_of,
    serves,
    start,
    unforeseen,
)
from harness.plans import Call
from harness.stack import MODULES, Stack

CLIENTS: Final = 6
SLOW_EVERY: Final = 3
CALLS_MAX: Final = 99_999  # of one load
# Longer than a quick answer takes on a busy machine, shorter than a slow one takes on any.
DRAIN_MS: Final = 3_000
STOPPING: Final = "ADMISSION_SHUTTING_DOWN"
# No byte of an answer: nobody was there, or the connection was never taken up.
NOBODY: Final = "(nobody)"
# What calls may end in, beside `ok`, while a program stops and is away.
MEANWHILE: Final[Mapping[str, frozenset[str]]] = {
    "bff": frozenset({STOPPING, NOBODY}),
    "qs": frozenset({STOPPING, "HOP_UNREACHABLE", "HOP_DISCONNECTED"}),
    "llmgw": frozenset({STOPPING, "HOP_UNREACHABLE", "HOP_DISCONNECTED"}),
    "fake": frozenset({"PROVIDER_DISCONNECTED", "PROVIDER_UNREACHABLE"}),
}


@frozen(slots=False)
class Answered:
    """One call of the load, over. `evidence` is None where nobody took the connection."""

    client: int
    number: int
    asked_at: float
    evidence: Evidence | None

    @property
    def is_slow(self) -> bool:
        return self.number % SLOW_EVERY == 0

    @property
    def trace_id(self) -> str:
        return f"{self.number:032x}"  # its number is one among all loads of the chain

    @property
    def word(self) -> str:
        if self.evidence is None or not self.evidence.exchanges:
            return NOBODY
        (exchange,) = self.evidence.exchanges
        word = last_word(exchange)
        return NOBODY if word == CUT and exchange.status is None else word

    def faults(self) -> Iterator[str]:
        """What is wrong with the answer, whatever word it ends in."""
        if self.evidence is None or self.word == NOBODY:
            return
        if self.word.startswith("("):
            yield f"call {self.number}: {self.word}"
        for checker in answers.CHECKERS:
            yield from (f"call {self.number}: {line}" for line in checker(self.evidence))


@define
class Load:
    """What the clients asked, and were answered."""

    port: int
    asked: int  # the number of the last call
    answered: list[Answered] = field(factory=list)
    open: dict[int, bool] = field(factory=dict)  # by number: whether it is a slow one
    goes_on: bool = True

    async def client(self, client: int) -> None:
        """Ask, one call after the other, until the load ends."""
        while self.goes_on:
            self.asked += 1
            answered = await self._call(client, self.asked)
            self.answered.append(answered)
            if answered.word != "ok":  # as any client would
                await trio.sleep(0.05)

    async def _call(self, client: int, number: int) -> Answered:
        asked_at = trio.current_time()
        one = Answered(client, number, asked_at, None)
        request = request_of_load(one)
        self.open[number] = one.is_slow
        try:
            wire = await ask(self.port, request)
        except (ConnectionError, trio.BrokenResourceError):
            return one
        finally:
            del self.open[number]
        return Answered(client, number, asked_at, evidence_of(Call(stream=True), wire))

    def since(self, at: float) -> list[Answered]:
        return [one for one in self.answered if one.asked_at > at]


def request_of_load(one: Answered) -> bytes:
    """One streaming call; a slow one in three."""
    question = f"{QUESTION} {SLOWLY}" if one.is_slow else QUESTION
    return request_of(question, stream=True, request_id=request_id(0), trace_id=one.trace_id)


@pytest.fixture(scope="module")
def chain_with_time(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The four programs, with time to drain."""
    folder = tmp_path_factory.mktemp("restarts")
    with open_chain(folder, environ={"DRAIN_TIMEOUT_MS": str(DRAIN_MS)}) as stack:
        yield stack
        assert unforeseen(stack) == []


@pytest.mark.parametrize("name", MODULES)
async def test_nobody_is_cut_off_when_a_program_is_restarted_under_load(
    chain_with_time: Stack, name: str
) -> None:
    stack = chain_with_time
    load = Load(stack["bff"].port, asked=CALLS_MAX * [*MODULES].index(name))
    async with trio.open_nursery() as nursery:
        for client in range(CLIENTS):
            nursery.start_soon(load.client, client)
        # In the midst of it: some were answered, and quick and slow ones are being written.
        await eventually(lambda: len(load.answered) >= CLIENTS and in_the_midst(load), GRACE_S * 4)
        told_at = datetime.now().astimezone()
        stack[name].terminate()
        assert await trio.to_thread.run_sync(stack[name].wait_ended) == 0
        await trio.to_thread.run_sync(start, stack, name)
        back_at = trio.current_time()
        await eventually(lambda: all_are_served(load, back_at), GENERATION_S + GRACE_S * 2)
        load.goes_on = False
    judge(stack, name, load, told_at)
    assert {one.word for one in load.since(back_at)} == {"ok"}
    await serves(stack)


def in_the_midst(load: Load) -> bool:
    kinds = list(load.open.values())
    return True in kinds and False in kinds


def all_are_served(load: Load, back_at: float) -> bool:
    served = {one.client for one in load.since(back_at) if one.word == "ok"}
    return served == set(range(CLIENTS))


def judge(stack: Stack, name: str, load: Load, told_at: datetime) -> None:
    """Nothing is cut, nothing that was taken on is dropped, nothing answered is lost."""
    assert [line for one in load.answered for line in one.faults()] == []
    words = {one.word for one in load.answered}
    assert words - {"ok"} <= MEANWHILE[name]
    by_trace = {one.trace_id: one for one in load.answered}
    if name in HOPS:
        taken_on = [
            by_trace[str(line["trace_id"])]
            for line in closing_lines(stack, name)
            if line["trace_id"] in by_trace and began_at(line) < told_at
        ]
        assert any(one.is_slow for one in taken_on)
        assert [one.number for one in taken_on if not one.is_slow and one.word != "ok"] == []
        assert {one.word for one in taken_on} <= {"ok", STOPPING}
    for hop in HOPS:
        said = {str(line["trace_id"]): line["status"] for line in closing_lines(stack, hop)}
        lost = [one.number for one in load.answered if one.word == "ok"
                if said.get(one.trace_id) != "ok"]  # fmt: skip
        assert lost == [], f"{hop} knows nothing of them"
        unheard = [trace for trace, status in said.items() if status == "ok" and trace in by_trace
                   if by_trace[trace].word not in ("ok", STOPPING)]  # fmt: skip
        assert unheard == [], f"{hop} answered them, and the client got nothing of it"


def closing_lines(stack: Stack, name: str) -> Sequence[Mapping[str, object]]:
    """Of all calls, in all of the program's lives."""
    text = (stack.folder / f"{name}.log").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if line["event"] == "call ended"]


def began_at(line: Mapping[str, object]) -> datetime:
    """When the program took the call on."""
    took = timedelta(milliseconds=cast(float, line["duration_ms"]))
    return datetime.fromisoformat(str(line["ts"])) - took
