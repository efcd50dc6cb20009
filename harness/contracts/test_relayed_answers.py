"""Goal: what a next hop legally answers is what the client gets, and it is on the contract.

Method: by property, over legal streams walked from the table and over legal bodies, to the BFF and
to QS alone. The BFF passes bytes on; QS says the same in its own words, with what it has searched.
"""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from contracts.tests.shapes import quick
from harness.alone import HOPS, SOURCES, Hop, ask, open_alone
from harness.hop_stage import Upstream, whole
from harness.order_breaks import table_of, telling
from harness.strategies import answers, streams
from harness.wire_schemas import Json, streamed
from harness.wire_schemas import whole as proved

_OWN = {"timings_ms"}


def answered(hop: Hop, upstream: Upstream, path: str, *, cited: bool) -> bytes:
    """What the client gets."""

    async def main() -> bytes:
        async with open_alone(hop, upstream) as stage:
            response = await stage.post(ask(cited=cited), path)
            await stage.at_rest()
        assert response.status_code == 200, response.text
        return response.content

    return trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("cited", [True, False], ids=["cited", "uncited"])
@pytest.mark.parametrize("hop", HOPS)
@quick(50)
@given(data=st.data())
def test_a_legal_stream_arrives_as_it_was_sent(hop: Hop, cited: bool, data: st.DataObject) -> None:
    events = data.draw(streams(table_of(hop, cited=cited), cited=cited))
    sent = b"".join(event.frame for event in events)
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=6).map(sorted))
    writes = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    upstream = Upstream(telling(writes, bytearray()))
    received = answered(hop, upstream, "/chat?stream=true", cited=cited)
    if hop == "bff":
        assert received == sent
        return
    got = streamed(received, cited=cited)
    assert [name for name, _ in got[:2]] == ["meta", "sources"]
    assert got[1][1] == {"sources": SOURCES}
    assert [comparable(name, value) for name, value in got[2:]] == [
        comparable(event.step.value.partition(" ")[0], event.data) for event in events[1:]
    ]


def comparable(name: str, data: Json) -> tuple[str, Json]:
    """An event but for the times, which are each hop's own."""
    return name, {key: value for key, value in data.items() if key not in _OWN}


@pytest.mark.parametrize("hop", HOPS)
@quick(50)
@given(data=st.data())
def test_a_legal_body_arrives_as_it_was_sent(hop: Hop, data: st.DataObject) -> None:
    value, body = data.draw(answers(hop))
    received = answered(hop, Upstream(whole(200, body)), "/chat", cited=True)
    if hop == "bff":
        assert received == body
        return
    got = proved("chat-response", received)
    same = ["status", "reason_code", "message_key", "citations", "model", "usage"]
    if value["status"] == "fallback":
        same.append("retry_after_ms")  # what ended well is not tried again
    assert {key: got[key] for key in same} == {key: value[key] for key in same}
    assert got["sources"] == SOURCES
    if got["status"] == "ok":
        assert got["answer"] == {"role": "assistant", "content": value["content"]}
