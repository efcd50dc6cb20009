"""Goal: two hundred answers at once, a quarter of them for clients that never read, hurt nobody.

A machine that is busy with other things lets nobody run for a while: a bare process that only
sleeps is how long. What it is late is taken off, once for each of the five processes in a row.

Method: long answers over the four processes; fifty clients whose kernel takes little and who read
nothing after the head. The others' events are timed as they arrive; the programs' memory is asked
of the kernel before and at the worst; the log says what became of the fifty.
"""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
import trio

from harness.faults.chain import (
    AT_LENGTH,
    HOPS,
    QUESTION,
    open_chain,
    serves,
)
from harness.raw_client import dial, named
from harness.stack import Stack

CLIENTS: Final = 200
DEAF: Final = 50
GAP_S: Final = 1.0
# An event every 200 ms, for some seconds. At the end three of them bear no text (the reason of the
# end, the usage, `[DONE]`), so that 600 ms lie between the last text and `done`.
STEADILY: Final = "(steadily)"
_SLEEPER: Final = """
import sys, time
worst = 0.0
while True:
    before = time.monotonic()
    time.sleep(0.02)
    late = time.monotonic() - before - 0.02
    if late > worst:
        worst = late
        print(worst, flush=True)
"""
PROCESSES: Final = 5  # the model server, the three programs, the clients
ARRIVING_S: Final = 4.0  # in which those who read come, one after another
LONG_S: Final = 60.0  # every limit on a whole answer: the crowd is to be served, not cut off
# What one of 200 streams may cost a program, with the two connections and the buffers it has.
MEMORY_EACH_KB: Final = 400
PATIENT: Final = {
    "BFF_CHAT_TIMEOUT_MS": f"{LONG_S * 1000:.0f}",
    "QS_CHAT_TIMEOUT_MS": f"{LONG_S * 1000 - 1000:.0f}",
    "LLM_TIMEOUT_MS": f"{LONG_S * 1000 - 8000:.0f}",
    "LLM_FIRST_TOKEN_TIMEOUT_MS": "40000",
    "LLM_IDLE_TIMEOUT_MS": "20000",
    "CLIENT_STALL_TIMEOUT_MS": "6000",  # long enough for all 200 to be there at once
    "LLM_MAX_CONCURRENCY": str(CLIENTS),
    "LLM_MAX_QUEUE": "0",
    "HOP_CONNECT_TIMEOUT_MS": "8000",
    "LLM_CONNECT_TIMEOUT_MS": "8000",
    "QS_RETRIEVAL_TIMEOUT_MS": "7000",
}


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The chain with room for them all."""
    rules = {STEADILY: "slow-drip?every=200ms"}
    with open_chain(tmp_path_factory.mktemp("crowd"), rules, PATIENT) as stack:
        yield stack


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[str]"]:
    """A bare process that prints how late it woke up, whenever it was later than ever."""
    command = [sys.executable, "-c", _SLEEPER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        yield process
        process.kill()


def memory_kb(stack: Stack, name: str) -> int:
    """What the program holds now, and not what it might get."""
    status = Path(f"/proc/{stack[name].process.pid}/status").read_text("utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])


async def test_crowd_of_which_a_quarter_never_reads_is_served(
    crowded: Stack, sleeper: "subprocess.Popen[str]"
) -> None:
    await serves(crowded)
    before = {name: memory_kb(crowded, name) for name in HOPS}
    worst = dict(before)
    gaps: list[float] = []
    ends: list[object] = []
    dropped = trio.Event()

    async def read(number: int) -> None:
        async with dial(crowded["bff"].port) as client:
            headers = {"x-request-id": f"reads-{number}"}
            await client.ask(f"{QUESTION} {STEADILY}", headers=headers)
            assert await client.head() == 200
            events = await client.rest()
        done = named(events, "done")
        ends.append(done["reason_code"] or done["status"])
        if ends[-1] != "ok":
            return
        texts = client.arrived[[name for name, _ in events].index("delta") :]
        gaps.append(max(after - before for before, after in pairwise(texts)))

    async def stare(number: int, *, task_status: trio.TaskStatus[None]) -> None:
        async with dial(crowded["bff"].port, receive_buffer=4096) as client:
            headers = {"x-request-id": f"deaf-{number}"}
            await client.ask(f"{QUESTION} {AT_LENGTH}", headers=headers)
            assert await client.head() == 200
            task_status.started()
            await dropped.wait()

    async def all_dropped() -> None:
        while crowded["bff"].text().count("CLIENT_TOO_SLOW") < DEAF:  # noqa: ASYNC110 - a log's text
            await trio.sleep(0.5)

    async def weigh() -> None:
        while True:
            for name in HOPS:
                worst[name] = max(worst[name], memory_kb(crowded, name))
            await trio.sleep(0.1)

    async with trio.open_nursery() as watching:
        watching.start_soon(weigh)
        async with trio.open_nursery() as crowd:
            async with trio.open_nursery() as first:
                for number in range(DEAF):
                    first.start_soon(crowd.start, stare, number)
            for number in range(CLIENTS - DEAF):
                crowd.start_soon(read, number)
                await trio.sleep(ARRIVING_S / CLIENTS)
            with trio.fail_after(LONG_S):
                await all_dropped()
            dropped.set()
        watching.cancel_scope.cancel()
    sleeper.kill()
    late_s = max(map(float, sleeper.communicate()[0].split()), default=0.0)
    more = {name: worst[name] - before[name] for name in HOPS}
    print(f"crowd: longest gap {max(gaps):.3f} s, the machine {late_s:.3f} s late")
    print(f"crowd: KB more at the worst {more}, on top of {before}")
    assert ends == ["ok"] * (CLIENTS - DEAF)
    lines = [crowded["bff"].ended(f"deaf-{number}")[0] for number in range(DEAF)]
    assert {(line["status"], line["reason_code"]) for line in lines} == {
        ("gone", "CLIENT_TOO_SLOW")
    }
    assert max(gaps) < GAP_S + PROCESSES * late_s
    assert max(more.values()) < MEMORY_EACH_KB * CLIENTS
    await serves(crowded)
