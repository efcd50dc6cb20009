"""The chain as four processes, for faults: short limits, known documents, and two ways to ask it.

    with open_chain(folder, rules) as stack:     all four run; `make_whole(stack)` makes them again
        exchange = await ask(port, call, …)       one call and every byte of its answer
        await serves(stack)                       asserts that both modes are answered well

Every setting that decides how long a fault lasts stands in `SETTINGS`, so that nothing depends on a
default. The limits are short, to be waited for, and long beside what an answer takes on a machine
whose two cores have six other things to do.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import trio

from harness.evidence import last_word
from harness.raw_client import Client, Event, dial
from harness.stack import MODULES, Running, Stack, open_stack
from harness.topics import TOPICS
from harness.wire_log import Exchange, Record, Way, What, WireLog, exchanges

HOPS: Final = ("bff", "qs", "llmgw")
CONNECT_S: Final = 1.0
FIRST_TOKEN_S: Final = 4.0
IDLE_S: Final = 2.0
GENERATION_S: Final = 6.0
QS_S: Final = 8.0
BFF_S: Final = 9.0
STALL_S: Final = 1.5
DRAIN_S: Final = 0.6
SETTINGS: Final[Mapping[str, str]] = {
    "LLM_CONNECT_TIMEOUT_MS": f"{CONNECT_S * 1000:.0f}",
    "LLM_FIRST_TOKEN_TIMEOUT_MS": f"{FIRST_TOKEN_S * 1000:.0f}",
    "LLM_IDLE_TIMEOUT_MS": f"{IDLE_S * 1000:.0f}",
    "LLM_TIMEOUT_MS": f"{GENERATION_S * 1000:.0f}",
    "QS_CHAT_TIMEOUT_MS": f"{QS_S * 1000:.0f}",
    "QS_RETRIEVAL_TIMEOUT_MS": "4000",
    "BFF_CHAT_TIMEOUT_MS": f"{BFF_S * 1000:.0f}",
    "HOP_CONNECT_TIMEOUT_MS": f"{CONNECT_S * 1000:.0f}",
    "CLIENT_STALL_TIMEOUT_MS": f"{STALL_S * 1000:.0f}",
    "DRAIN_TIMEOUT_MS": f"{DRAIN_S * 1000:.0f}",
    # A fault is to be seen as it is: neither repeated, nor kept from the next call.
    "LLM_MAX_ATTEMPTS": "1",
    "LLM_BREAKER_FAILURES": "0",
    # Nobody is turned away.
    "LLM_MAX_CONCURRENCY": "64",
    "BFF_RATE_PER_MINUTE": "0",
}
# On top of a limit: two busy cores are late, and say nothing of the programs.
GRACE_S: Final = 4.0
# How soon a client's leaving must be felt everywhere (CONTRACT §6), and the machine's part of it.
LEFT_S: Final = 0.25 + 2.0
# In a question, what makes its answer take some four seconds to be written; first text after two.
SLOWLY: Final = "(slowly)"
# The same for a plain answer.
SLOWLY_AT_ONCE: Final = "(slowly, at once)"
# What makes an answer so long that no kernel's buffers hold it for a client that does not read.
AT_LENGTH: Final = "(at length)"
_SLOW: Final[Mapping[str, str]] = {
    SLOWLY: "slow-drip?every=150ms",
    SLOWLY_AT_ONCE: "slow-drip?every=300ms",
}
PACE: Final = ("--admin", "--latency", "ttft=20ms,itl=2ms")
QUESTION: Final = TOPICS[0].question
DOCUMENTS: Final[Mapping[str, str]] = {
    f"{topic.key}-{number}.md": f"# On {topic.words[0]}, part {number}\n\n{passage}\n"
    for topic in TOPICS
    for number, passage in enumerate(topic.passages, start=1)
}


@contextmanager
def open_chain(
    folder: Path, rules: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """Four programs. `rules`: which scenario of the fake a question gets, by a part of its text."""
    with open_stack(folder, DOCUMENTS, **{**SETTINGS, **(environ or {})}) as stack:
        _write_script(folder, {**_SLOW, **(rules or {})})
        make_whole(stack)
        yield stack


def make_whole(stack: Stack) -> None:
    """Start, as usual, whatever does not run: the fake first, for the gateway asks it at once."""
    missing = [name for name in MODULES_BY_HOP if not stack.runs(name)]
    if "fake" in missing:
        start(stack, "fake")
    with ThreadPoolExecutor() as at_once:
        hops = [name for name in missing if name != "fake"]
        list(at_once.map(lambda name: start(stack, name), hops))


MODULES_BY_HOP: Final = (*HOPS, "fake")
assert set(MODULES_BY_HOP) == set(MODULES)


def start(stack: Stack, name: str) -> Running:
    """Start a program as usual."""
    if name == "fake":
        return stack.start(name, *PACE, "--script", str(stack.folder / "script.toml"))
    return stack.start(name)


@contextmanager
def otherwise(
    stack: Stack,
    name: str,
    environ: Mapping[str, str],
    *,
    under: Sequence[str] = (),
    out: Path | None = None,
) -> Iterator[Running]:
    """The program as it is not usual; who comes next starts it anew."""
    stack[name].kill()
    try:
        yield stack.launch(name, (), environ, under=under, out=out)
    finally:
        stack[name].kill()


def _write_script(folder: Path, scenarios: Mapping[str, str]) -> None:
    """The fake's script as TOML, of which a JSON string is one."""
    plays = {part: json.dumps(name) for part, name in scenarios.items()}
    plays[AT_LENGTH] = f'{{ ending = "close", send = {json.dumps(_long_answer())} }}'
    rules = [
        f"[[rule]]\ntext = {json.dumps(part)}\nplay = [{play}]\nthen = 'last'\n"
        for part, play in plays.items()
    ]
    (folder / "script.toml").write_text("\n".join(rules), "utf-8")


def _long_answer() -> list[str | float]:
    """More than buffers hold, at once, and then five seconds of drips: bytes and pauses.

    Chestnuts have many bytes for one character: few events fill the buffers, under the cap on both.
    """
    texts = ['{"citations":[{"chunk_id":"c1"}],"answer":"', *["🌰" * 15 + " "] * 500, '"}']
    choices: list[object] = [{"index": 0, "delta": {"content": text}} for text in texts]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    frames = [f"data: {json.dumps({'choices': [one]})}\n\n" for one in choices]
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    drips = [part for frame in frames[-20:] for part in (0.25, frame)]
    return [head + "".join(frames[:-20]), *drips, "data: [DONE]\n\n"]


def request_of(
    question: str, *, stream: bool, request_id: str, trace_id: str, within_ms: int | None = None
) -> bytes:
    """A chat request whose answer ends with the connection."""
    body = json.dumps({"message": {"role": "user", "content": question}}).encode()
    deadline = f"x-deadline-ms: {within_ms}\r\n" if within_ms is not None else ""
    head = (
        f"POST /chat{'?stream=true' if stream else ''} HTTP/1.1\r\nhost: bff\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{deadline}"
        f"x-request-id: {request_id}\r\ntraceparent: 00-{trace_id}-{'cd' * 8}-01\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body


async def ask(port: int, request: bytes) -> WireLog:
    """Everything that passes on one connection, to its end; ConnectionError where there is none."""
    log, began = WireLog(), trio.current_time()
    link = log.open("bff", 0.0)

    def note(way: Way, what: What, data: bytes = b"") -> None:
        at = trio.current_time() - began
        log.records.append(Record(at, link, way, what, len(data), data))

    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError as error:
        raise ConnectionError(f"nobody at port {port}") from error
    async with stream:
        try:
            await stream.send_all(request)
        except trio.BrokenResourceError as error:  # killed before it could take what the kernel had
            raise ConnectionError(f"reset at port {port} before all was asked") from error
        note("up", "sent", request)
        try:
            while data := bytes(await stream.receive_some()):
                note("down", "sent", data)
            note("down", "eof")
        except trio.BrokenResourceError:
            note("down", "reset")
    return log


async def word_of(
    port: int, *, stream: bool, question: str = QUESTION, within_ms: int | None = None
) -> str:
    """The last word of one call: `ok`, a reason code, or `(cut)`."""
    return last_word(await exchange_of(port, stream=stream, question=question, within_ms=within_ms))


async def exchange_of(
    port: int,
    *,
    stream: bool,
    question: str = QUESTION,
    within_ms: int | None = None,
    request_id: str = "one",
) -> Exchange:
    """One call, read to its end."""
    request = request_of(
        question, stream=stream, request_id=request_id, trace_id="ab" * 16, within_ms=within_ms
    )
    (exchange,) = exchanges(await ask(port, request))
    return exchange


async def words(port: int, **asked: int) -> tuple[str, str]:
    """The last words of a streaming and of a plain call, made at once."""
    found: dict[bool, str] = {}

    async def call(stream: bool) -> None:
        found[stream] = await word_of(port, stream=stream, within_ms=asked.get("within_ms"))

    async with trio.open_nursery() as nursery:
        for stream in (True, False):
            nursery.start_soon(call, stream)
    return found[True], found[False]


async def serves(stack: Stack) -> None:
    """Both modes are answered well, at once: whatever befell the chain is over."""
    assert await words(stack["bff"].port) == ("ok", "ok")


@asynccontextmanager
async def streaming(
    port: int, request_id: str = "a-stream", within_ms: int | None = None
) -> AsyncIterator[Client]:
    """A slow stream of which the first text has arrived; leaving the block leaves the call."""
    headers = {"x-request-id": request_id}
    if within_ms is not None:
        headers["x-deadline-ms"] = str(within_ms)
    async with dial(port) as client:
        await client.ask(f"{QUESTION} {SLOWLY}", headers=headers)
        assert await client.head() == 200
        while (await client.event())[0] != "delta":
            pass
        yield client


async def struck(
    port: int, strike: Callable[[], None], within_ms: int | None = None
) -> tuple[list[Event], str]:
    """A slow stream's last events, and a slow plain call's last word, where this befell both."""
    found: list[str] = []

    async def call() -> None:
        question = f"{QUESTION} {SLOWLY_AT_ONCE}"
        found.append(await word_of(port, stream=False, question=question, within_ms=within_ms))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        async with streaming(port, within_ms=within_ms) as client:
            strike()
            events = await client.rest()
    return events, found[0]


def ends_in(events: Sequence[Event], code: str) -> None:
    """The stream's last two events are `error` and `done`, of this code."""
    assert [name for name, _ in events][-2:] == ["error", "done"]
    assert events[-2][1]["code"] == events[-1][1]["reason_code"] == code
    assert events[-2][1]["discard"] is True
    assert events[-1][1]["status"] == "fallback"


def unforeseen(stack: Stack) -> list[str]:
    """What the programs logged, in all their lives, that nobody had thought of."""
    logs = ((stack.folder / f"{name}.log").read_text("utf-8") for name in HOPS)
    lines = [line for log in logs for line in log.splitlines()]
    return [line for line in lines if json.loads(line)["event"] == "unforeseen"]


async def eventually(holds: Callable[[], bool], within_s: float) -> float:
    """Wait until it holds; the seconds that took."""
    began = trio.current_time()
    while not holds():
        assert trio.current_time() - began < within_s, "it never came to hold"
        await trio.sleep(0.01)
    return trio.current_time() - began


async def closing_line(
    program: Running, request_id: str, within_s: float = GRACE_S
) -> dict[str, object]:
    """The one line with which a program closes this call."""
    await eventually(lambda: bool(program.ended(request_id)), within_s)
    (line,) = program.ended(request_id)
    return line
