"""Goal: a server answers as late as its latency says, by the clock of whoever waits for it.

Method: conversations in memory on a virtual clock, with the spread `constant`; so every time is
exact.
"""

import pytest
import trio
import trio.testing

from fakes.openai_compat_server import Behaviour, Fake, Latency, parse_latency
from fakes.openai_compat_server.dialects import OLLAMA, OPENAI, Dialect
from fakes.openai_compat_server.over_trio import serve_trio_stream
from fakes.openai_compat_server.tests.fake_client import chat, on_the_wire

WORDS = "one two three four"
STREAM = on_the_wire(chat(WORDS, stream=True))
PLAIN = on_the_wire(chat(WORDS))
HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
END = b"0\r\n\r\n"


def fake(latency: str, seed: int = 0) -> Fake:
    # Four tokens at these paces: 2 s to the first, and three gaps of 1 s.
    usual = "" if "spread" in latency else "ttft=2s,itl=1s,spread=constant,"
    return Fake(Behaviour(seed=seed, persona="echo", latency=parse_latency(usual + latency)))


async def took(server: Fake, request: bytes, after_s: float = 0.0, end: bytes = END) -> float:
    """How long a client that comes `after_s` waits for the end of its answer."""
    await trio.sleep(after_s)
    client, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_trio_stream, theirs, server)
        began = trio.current_time()
        await client.send_all(request)
        received = b""
        while not received.endswith(end):
            data = bytes(await client.receive_some())
            assert data, received
            received += data
        waited = trio.current_time() - began
        await client.aclose()
    return round(waited, 6)


async def all_took(server: Fake, *requests: tuple[float, bytes]) -> list[float]:
    """The same for clients that come when they come."""
    waits = [0.0] * len(requests)

    async def ask(at: int, after_s: float, request: bytes) -> None:
        waits[at] = await took(server, request, after_s, b"}" if request == HEALTH else END)

    async with trio.open_nursery() as nursery:
        for at, (after_s, request) in enumerate(requests):
            nursery.start_soon(ask, at, after_s, request)
    return waits


async def test_a_request_alone_waits_for_its_tokens(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = fake("load=0.5")
    assert [await took(server, STREAM) for _ in range(2)] == [5.0, 5.0]
    assert await took(server, PLAIN, end=b"}}") == 5.0


async def test_a_prompt_is_read_before_the_first_token(
    autojump_clock: trio.testing.MockClock,
) -> None:
    # 18 characters are taken for five tokens.
    assert await took(fake("prefill=100ms"), STREAM) == 5.5


async def test_what_an_embedding_reads_is_a_prompt_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ask = {"model": "m", "input": ["four", "four and four"]}
    request = on_the_wire(ask, path="/v1/embeddings")
    assert await took(fake("prefill=100ms"), request, end=b"}}") == 2.5


@pytest.mark.parametrize(
    ("dialect", "waits_s", "end"), [(OLLAMA, 10.0, b"}\n"), (OPENAI, 0.0, b"}}")]
)
async def test_a_prompt_over_the_window_is_read_as_far_as_it_is_kept(
    dialect: Dialect, waits_s: float, end: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    latency = Latency(0.0, 0.0, prefill_s=1.0, spread="constant")
    behaviour = Behaviour(persona="echo", latency=latency, dialect=dialect, window_tokens=10)
    asked = [{"role": role, "content": "a" * 40} for role in ("user", "assistant", "user")]
    request = on_the_wire({"model": "m", "messages": asked})
    assert await took(Fake(behaviour), request, end=end) == waits_s


async def test_a_connection_is_looked_at_late(autojump_clock: trio.testing.MockClock) -> None:
    server = fake("connect=3s")
    assert await took(server, STREAM) == 8.0
    assert await took(server, HEALTH, end=b"}") == 3.0
    # Once, however many requests there are on it.
    assert await took(server, HEALTH + STREAM) == 8.0


async def test_each_request_in_hand_slows_the_ones_that_come_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    # The second comes while the first is answered, the third while both are, the fourth when
    # nobody is left.
    server = fake("load=0.5")
    waits = await all_took(server, (0, STREAM), (1, STREAM), (2, STREAM), (30, STREAM))
    assert waits == [5.0, 7.5, 10.0, 5.0]


async def test_who_asks_for_no_work_slows_nobody(autojump_clock: trio.testing.MockClock) -> None:
    server = fake("load=0.5,cold=8s")
    assert await took(server, HEALTH, end=b"}") == 0.0
    assert await took(server, STREAM) == 13.0
    assert await all_took(server, (0, HEALTH), (0, STREAM)) == [0.0, 5.0]


async def test_a_client_that_leaves_is_in_hand_no_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = fake("load=0.5")
    with trio.move_on_after(1):
        await took(server, STREAM)
    assert server.occupancy.in_hand == 0
    assert await took(server, STREAM) == 5.0


async def test_the_first_request_loads_the_model_and_all_wait_for_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = fake("cold=8s")
    waits = await all_took(server, (0, STREAM), (3, STREAM), (7.5, STREAM), (8, STREAM))
    assert waits == [13.0, 10.0, 5.5, 5.0]


def history(seed: int) -> list[tuple[bytes, list[float]]]:
    """What each request got, and when, of a server under load from a cold start."""

    async def main() -> list[tuple[bytes, list[float]]]:
        latency = "ttft=2s,itl=1s,prefill=10ms,connect=500ms,cold=8s,load=0.3,spread=lognormal:0.5"
        server = fake(latency, seed)
        await all_took(server, *((at * 0.7, STREAM) for at in range(8)))
        return [
            (b"".join(chunk.data for chunk in entry.chunks), [chunk.at for chunk in entry.chunks])
            for entry in server.journal.entries
        ]

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("seed", [0, 1])
def test_bytes_and_times_are_the_same_when_the_same_comes_in_the_same_order(seed: int) -> None:
    assert history(seed) == history(seed)


def test_another_seed_is_another_history() -> None:
    assert history(0) != history(1)
