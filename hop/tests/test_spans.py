"""Spans: what hangs on what, in which task, and how each ends. On a clock of the test's own."""

from collections.abc import Iterator
from itertools import count

import pytest
import trio
from attrs import define, field

from contracts.reasons import ReasonCode
from hop.call import HopFault
from hop.spans import ATTRIBUTE_CHARS, NOTHING, Nothing, Span, Spans, at, onward, span
from hop.tracing import CallIds

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


@define
class Kept:
    """Spans on a clock that goes on by a second with every look, and those that ended."""

    ended: list[Span] = field(factory=list)
    _ticks: Iterator[int] = field(factory=count)
    _ids: Iterator[int] = field(factory=lambda: count(1))

    @property
    def spans(self) -> Spans:
        return Spans(self._hex, lambda: float(next(self._ticks)), self.ended.append)

    def _hex(self, digits: int) -> str:
        return f"{next(self._ids):0{digits}x}"

    def server(self, flags: str = "01") -> Span | Nothing:
        return self.spans.server(CallIds("r", TRACE, flags, CALLER), "POST /chat")


async def test_nothing_is_kept_when_nobody_collects() -> None:
    with span("retrieve") as part:
        part.set("bsl.hits", 3)
        part.failed("RAG_TIMEOUT")
        at(part, "http://next:1/")
    assert part is NOTHING
    assert (part.onward(), onward()) == ({}, {})


@pytest.mark.parametrize(
    ("flags", "is_kept"), [("00", False), ("01", True), ("02", False), ("03", True)]
)
async def test_the_callers_sampled_flag_is_kept_to(flags: str, is_kept: bool) -> None:
    kept = Kept()
    server = kept.server(flags)
    with span("retrieve") as part:
        assert isinstance(part, Span) is is_kept
        expected = {"traceparent": f"00-{TRACE}-{part.span_id}-{flags}"} if is_kept else {}  # type: ignore[union-attr]  # it is a Span where it is kept
        assert part.onward() == onward() == expected
    assert isinstance(server, Span) is is_kept
    assert len(kept.ended) == is_kept


async def test_each_part_hangs_on_the_one_it_is_in() -> None:
    kept = Kept()
    server = kept.server()
    assert isinstance(server, Span)
    with span("generate") as outer, span("POST", "client") as inner:
        pass
    with span("after") as after:
        pass
    server.end()
    assert isinstance(outer, Span) and isinstance(inner, Span) and isinstance(after, Span)
    assert (server.parent_id, outer.parent_id) == (CALLER, server.span_id)
    assert (inner.parent_id, after.parent_id) == (outer.span_id, server.span_id)
    assert {it.trace_id for it in kept.ended} == {TRACE}
    assert [it.name for it in kept.ended] == ["POST", "generate", "after", "POST /chat"]
    assert all(it.ended is not None and it.began < it.ended for it in kept.ended)
    assert len({it.span_id for it in kept.ended}) == 4


async def test_tasks_do_not_hang_their_parts_on_one_anothers() -> None:
    """Two tasks of one call, each inside its own part while the other opens one."""
    kept = Kept()
    kept.server()
    both_in = trio.Event()

    async def one(name: str) -> None:
        with span(name):
            if name == "first":
                await both_in.wait()
            else:
                both_in.set()
                await trio.lowlevel.checkpoint()
            with span(f"{name} inner"):
                await trio.lowlevel.checkpoint()

    with span("both"):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "first")
            nursery.start_soon(one, "second")
    spans = {it.name: it for it in kept.ended}
    for name in ("first", "second"):
        assert spans[f"{name} inner"].parent_id == spans[name].span_id
        assert spans[name].parent_id == spans["both"].span_id


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (HopFault(ReasonCode.HOP_TIMEOUT, "late"), "HOP_TIMEOUT"),
        (KeyError("x"), "KeyError"),
        (GeneratorExit(), "GeneratorExit"),
    ],
)
async def test_a_part_that_is_left_by_a_fault_has_ended_and_names_it(
    error: BaseException, fault: str
) -> None:
    kept = Kept()
    kept.server()
    with pytest.raises(type(error)), span("generate"):
        raise error
    (ended,) = kept.ended
    assert ended.fault == fault


async def test_a_part_ends_when_its_task_is_cancelled() -> None:
    kept = Kept()
    kept.server()
    with trio.move_on_after(0), span("generate"):
        await trio.sleep_forever()
    (ended,) = kept.ended
    assert ended.fault == "Cancelled"


async def test_the_first_fault_counts_and_long_texts_are_cut() -> None:
    kept = Kept()
    kept.server()
    with span("attempt") as part:
        part.failed("OUTPUT_EMPTY")
        part.failed("HOP_TIMEOUT")
        part.set("gen_ai.request.model", "x" * 10_000)
        part.set("gen_ai.response.model", None)
    (ended,) = kept.ended
    assert ended.fault == "OUTPUT_EMPTY"
    assert ended.attributes == {"gen_ai.request.model": "x" * ATTRIBUTE_CHARS}


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("http://next/chat", "next", 80),
        ("https://next/chat", "next", 443),
        ("http://[::1]:8001/chat", "::1", 8001),
    ],
)
async def test_who_is_called_stands_on_the_part(url: str, address: str, port: int) -> None:
    kept = Kept()
    kept.server()
    with span("POST", "client") as part:
        at(part, url)
    (ended,) = kept.ended
    assert ended.attributes == {"server.address": address, "server.port": port}
