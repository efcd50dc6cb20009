"""The four programs as four processes over real sockets: asked, flooded and left.

Goal: what a virtual network cannot show (kernels, half-sent bytes), as far as nothing fails; what
does is in `harness/faults`. Method: one stack for the whole module, as `make run` would start it;
every test finds it whole, and whoever ends a program has it started again by the next one.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

import pytest
import trio

from contracts.limits import CHAT_BODY_BYTES, GENERATE_BODY_BYTES, VIOLATIONS_LISTED
from harness.raw_client import Event, dial, named
from harness.stack import Running, Stack, open_stack

SECRET: Final = "xylophone"
DOCUMENTS: Final = {
    "packages.md": "# Packages\n\n## Finding the package of a file\n\n"
    f"Run `dpkg -S filename`, says the {SECRET} player, to find out which package a file belongs "
    "to. The same search finds which package a file belongs to in a list of all the packages.",
    "marathon.md": "# Marathon\n\n## How a marathon is run\n\nA marathon is run "
    + "step after step, " * 60
    + "to its end.",
}
QUESTION: Final = "How do I find out which package a file belongs to?"
LONG: Final = "How is a marathon run?"  # its answer takes some 4 s
PACE: Final = ("--latency", "ttft=60ms,itl=15ms")
SETTINGS: Final = {
    "BODY_TIMEOUT_MS": "300",
    "LLM_MAX_CONCURRENCY": "32",  # nobody is to wait for a slot
}
HOPS: Final = ("bff", "qs", "llmgw")
PATHS: Final = {"bff": "/chat", "qs": "/chat", "llmgw": "/v1/generate"}
BODY_BYTES: Final = {
    "bff": CHAT_BODY_BYTES,
    "qs": CHAT_BODY_BYTES,
    "llmgw": GENERATE_BODY_BYTES,
}
LEFT_S: Final = 0.25
AT_ONCE: Final = 20
# On top of a limit under test: two busy cores are late, and say nothing of the programs.
GRACE_S: Final = 0.5


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("stack"), DOCUMENTS, **SETTINGS) as stack:
        yield stack


@pytest.fixture
def stack(started: Stack) -> Stack:
    """The stack, whole again."""
    for name in ("fake", "llmgw", "qs", "bff"):
        if name not in started.running or started[name].process.poll() is not None:
            started.start(name, *(PACE if name == "fake" else ()))
    return started


async def eventually(holds: Callable[[], bool], within_s: float) -> float:
    """Wait until it holds; the seconds that took."""
    began = trio.current_time()
    while not holds():
        assert trio.current_time() - began < within_s, "it never came to hold"
        await trio.sleep(0.005)
    return trio.current_time() - began


async def closing_line(
    program: Running, request_id: str, within_s: float = GRACE_S
) -> dict[str, object]:
    """The one line with which a program closes this call."""
    await eventually(lambda: bool(program.ended(request_id)), within_s)
    (line,) = program.ended(request_id)
    return line


async def answer(stack: Stack, headers: Mapping[str, str] | None = None) -> list[Event]:
    """One whole stream of the BFF."""
    async with dial(stack["bff"].port) as client:
        await client.ask(QUESTION, headers=headers)
        assert await client.head() == 200
        return await client.rest()


async def plain(stack: Stack) -> dict[str, object]:
    """One whole body of the BFF."""
    async with dial(stack["bff"].port) as client:
        await client.ask(QUESTION, stream=False)
        assert await client.head() == 200
        return cast(dict[str, object], json.loads(await client.body()))


def chunk_ids(items: object) -> set[str]:
    return {item["chunk_id"] for item in cast(list[dict[str, str]], items)}


async def test_stream_is_proved_and_arrives_over_time(stack: Stack) -> None:
    async with dial(stack["bff"].port) as client:
        await client.ask(QUESTION)
        assert await client.head() == 200
        events = await client.rest()
    names = [name for name, _ in events]
    assert names[:3] == ["meta", "sources", "citations"]
    assert (names[-1], set(names[3:-1])) == ("done", {"delta"})
    assert named(events, "done")["status"] == "ok"
    cited = chunk_ids(named(events, "citations")["citations"])
    assert cited
    assert cited <= chunk_ids(named(events, "sources")["sources"])
    times = client.arrived[3:-1]
    assert len({round(at, 2) for at in times}) > 10, "deltas arrive one by one"
    assert times[-1] - times[0] > 0.015 * len(times) / 2
    assert client.arrived[0] < times[0] - 0.03, "`meta` does not wait for the model"


async def test_plain_answer_has_the_same_fields(stack: Stack) -> None:
    events = await answer(stack)
    reply = await plain(stack)
    text = "".join(cast(str, data["delta"]) for name, data in events if name == "delta")
    assert cast(dict[str, str], reply["answer"])["content"] == text
    assert reply["citations"] == named(events, "citations")["citations"]
    assert reply["sources"] == named(events, "sources")["sources"]


async def test_off_topic_question_is_never_answered(stack: Stack) -> None:
    async with dial(stack["bff"].port) as client:
        await client.ask("What is the capital of Mongolia?", stream=False)
        assert await client.head() == 200
        reply = json.loads(await client.body())
    assert reply["reason_code"] in {"RAG_NO_CHUNKS", "RAG_LOW_SCORE", "MODEL_ABSTAINED"}


async def test_one_pair_of_ids_is_in_every_log_and_no_text_is(stack: Stack) -> None:
    headers = {"x-request-id": "one-call", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    await answer(stack, headers=headers)
    for name in HOPS:
        line = await closing_line(stack[name], "one-call")
        assert (line["trace_id"], line["status"]) == ("ab" * 16, "ok")
        assert SECRET not in stack[name].text()
        assert "belongs" not in stack[name].text()


async def test_toy_answers_when_there_is_no_model_server(stack: Stack) -> None:
    stack["fake"].kill()
    stack.restart("llmgw", LLM_PROVIDER="toy")
    try:
        assert named(await answer(stack), "done")["status"] == "ok"
        assert (await plain(stack))["status"] == "ok"
    finally:
        stack["llmgw"].kill()


def test_fake_stops_at_once_with_status_0(stack: Stack) -> None:
    stack["fake"].terminate()
    assert stack["fake"].wait_ended(2) == 0


TURNS: Final = b",".join([b"{}"] * 10_000)
TURN: Final = b'{"role":"user","content":"x"}'
HEAD: Final = b"POST PATH HTTP/1.1\r\nhost: hop\r\ncontent-type: application/json\r\n"
NOISE: Final = random.Random(7).randbytes(3000)
SWITCH: Final = b"connection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"


def of_length(body: bytes) -> bytes:
    return HEAD + b"content-length: %d\r\n\r\n" % len(body) + body


# What is sent, PATH standing for the program's own; the status that must come; whether it is the
# program's own answer, a JSON error, and not the bare one for what is no HTTP.
BAD: Final[dict[str, tuple[bytes, int, bool]]] = {
    "noise": (NOISE + b"\r\n\r\n", 400, False),
    "noise with no line": (b"\0" + NOISE, 400, False),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400, False),
    "http2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), 400, False),
    "h2c": (HEAD + SWITCH + b"upgrade: h2c\r\ncontent-length: 2\r\n\r\n{}", 400, False),
    "websocket": (
        b"GET PATH HTTP/1.1\r\nhost: hop\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n",
        400,
        False,
    ),
    "connect": (b"CONNECT example.org:443 HTTP/1.1\r\nhost: hop\r\n\r\n", 400, False),
    "two lengths": (HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}", 400, False),
    "huge head": (
        b"GET PATH HTTP/1.1\r\nhost: hop\r\nx: " + b"y" * 40_000 + b"\r\n\r\n",
        431,
        False,
    ),
    "bad chunk": (HEAD + b"transfer-encoding: chunked\r\n\r\nnothex\r\n", 400, False),
    "get": (b"GET PATH HTTP/1.1\r\nhost: hop\r\n\r\n", 405, True),
    "path": (HEAD.replace(b"PATH", b"//nowhere") + b"content-length: 0\r\n\r\n", 404, True),
    "form": (HEAD.replace(b"json", b"x-www-form-urlencoded") + b"\r\n", 415, True),
    "gzip": (HEAD + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}", 415, True),
    "empty": (of_length(b""), 400, True),
    "no json": (of_length(b'{"message": '), 400, True),
    "no utf-8": (of_length(b'{"message": "\xff\xfe"}'), 400, True),
    "no object": (of_length(b"[]"), 400, True),
    "nan": (of_length(b'{"message": NaN}'), 400, True),
    "deep": (of_length(b"[" * 20_000), 400, True),
    "key": (of_length(b'{"surprise": 1}'), 400, True),
    "deadline": (HEAD + b"x-deadline-ms: soon\r\ncontent-length: 2\r\n\r\n{}", 400, True),
    "half a body": (HEAD + b"content-length: 500\r\n\r\n{", 408, True),
    "half a chunk": (HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{", 408, True),
    "10,000 turns": (of_length(b'{"history":[%b],"messages":[%b]}' % (TURNS, TURNS)), 400, True),
}


@pytest.mark.parametrize("name", HOPS)
@pytest.mark.parametrize("case", BAD)
async def test_bad_input_is_refused_within_its_limit_and_the_next_request_is_served(
    stack: Stack, name: str, case: str
) -> None:
    data, status, answered = BAD[case]
    before = len(stack[name].text())
    data = data.replace(b"PATH", PATHS[name].encode())
    limit_s = 0.3 if status == 408 else 0.0
    async with dial(stack[name].port) as client:
        with trio.fail_after(limit_s + GRACE_S):
            await client.send_raw(data)
            assert await client.head() == status
            body = await client.body()
        if not answered:
            assert body == b""
            with trio.fail_after(2):
                assert await client.stream.receive_some() == b"", "and the connection is closed"
        else:
            error = json.loads(body)
            assert error["error"]["code"].startswith("INPUT_")
            assert error["request_id"] == client.headers["x-request-id"]
            places = [detail["path"] for detail in error["error"]["details"]]
            assert bool(places) is (status == 400)
            assert len(places) <= VIOLATIONS_LISTED
            lines = stack[name].text()[before:].splitlines()
            logged = [json.loads(line).get("request_id") for line in lines]
            assert error["request_id"] in logged
    async with dial(stack[name].port) as client:
        assert json.loads(await client.get("/health"))["status"] == "ok"


@pytest.mark.parametrize("name", HOPS)
async def test_flood_is_refused_before_it_is_read(stack: Stack, name: str) -> None:
    """10,000 real turns, and a chunked body with no end in sight."""
    turns = b'{"messages": [%b], "history": []}' % b",".join([TURN] * 10_000)
    body = turns + b" " * BODY_BYTES[name]
    async with dial(stack[name].port) as client:
        await client.post(PATHS[name], body)
        assert await client.head() == 413
        assert json.loads(await client.body())["error"]["code"] == "INPUT_TOO_LARGE"
    async with dial(stack[name].port) as client:
        head = HEAD.replace(b"PATH", PATHS[name].encode()) + b"transfer-encoding: chunked\r\n\r\n"
        await client.send_raw(head)
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(100_000):
                await client.stream.send_all(b"1000\r\n" + b" " * 4096 + b"\r\n")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
async def test_model_server_is_left_at_once_when_the_client_leaves(
    stack: Stack, stream: bool
) -> None:
    async with dial(stack["bff"].port) as client:
        before = stack["fake"].text().count("client left")
        await client.ask(LONG, stream=stream, headers={"x-request-id": f"leaver-{stream}"})
        await trio.sleep(0.4)
    took = await eventually(
        lambda: stack["fake"].text().count("client left") > before, LEFT_S + GRACE_S
    )
    assert took < LEFT_S
    for name in HOPS:
        line = await closing_line(stack[name], f"leaver-{stream}")
        assert line["reason_code"] == "CLIENT_DISCONNECTED"


async def test_twenty_streams_at_once_are_all_answered(stack: Stack) -> None:
    ends: list[object] = []

    async def ask() -> None:
        done = named(await answer(stack), "done")
        ends.append(done["reason_code"] or done["status"])

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
    assert ends == ["ok"] * 20


async def gauge(stack: Stack, name: str, gauge: str) -> float:
    async with dial(stack[name].port) as client:
        text = (await client.get("/metrics")).decode()
    (value,) = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(gauge)]
    return float(value)


async def test_nothing_is_left_when_200_clients_have_left_at_random(stack: Stack) -> None:
    dice = random.Random(20)
    places = trio.CapacityLimiter(AT_ONCE)

    async def leave(after_s: float, stream: bool) -> None:
        async with places, dial(stack["bff"].port) as client:
            with trio.move_on_after(after_s):
                await client.ask(LONG, stream=stream)
                await client.stream.receive_some()
                await trio.sleep_forever()

    before = {name: stack[name].open_files for name in HOPS}
    async with trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(leave, dice.expovariate(1 / 0.12), dice.random() < 0.7)
    await trio.sleep(LEFT_S + GRACE_S)
    for name in HOPS:
        assert await gauge(stack, name, "bsl_in_flight_calls") == 0, name
        assert await gauge(stack, name, "bsl_open_upstream_streams") == 0, name
        assert stack[name].open_files < before[name] + 2 * AT_ONCE, name
    assert (await plain(stack))["status"] == "ok"


def test_no_program_has_said_anything_unforeseen(started: Stack) -> None:
    """Last: every line of every life is an event of the log, and none is a fault of ours."""
    for name in HOPS:
        for line in (started.folder / f"{name}.log").read_text("utf-8").splitlines():
            assert json.loads(line)["event"] != "unforeseen", line
