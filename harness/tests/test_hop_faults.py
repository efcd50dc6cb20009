"""Goal: a connection breaks exactly where its fault says, once, and holds again when mended.

Method: `Breaking` fed by hand, in any pieces; every row of the catalogue by its own promises; and
each impostor over a connection in memory.
"""

from itertools import pairwise

import pytest
import trio
import trio.testing
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from harness.hop_faults import FAULTS, Breaking, Broken, HopFault, Impostor
from harness.memory_stream import End, memory_pair
from harness.plans import Call, HopFaultAt, Plan
from harness.play import run

DELTA = b'event: delta\ndata: {"delta":"x"}\n\n'
IMPOSTORS = [row for row in FAULTS.values() if isinstance(row.what, Impostor)]
BROKEN = [row for row in FAULTS.values() if isinstance(row.what, Broken)]


@define
class Severed:
    """Whoever may break the connection: how it did."""

    ends: list[End] = field(factory=list)

    def __call__(self, end: End) -> None:
        self.ends.append(end)


@given(data=st.binary(max_size=60), after=st.integers(0, 50), cuts=st.sets(st.integers(0, 60)))
def test_so_many_bytes_pass_however_they_were_cut(data: bytes, after: int, cuts: set[int]) -> None:
    severed = Severed()
    breaking = Breaking(Broken(after, "reset"), severed)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    passed = b"".join(breaking.pass_on(data[a:b]) for a, b in pairwise(edges))
    assert passed == data[:after]
    assert breaking.done is (len(data) >= after and bool(data))
    assert severed.ends == (["reset"] if breaking.done else [])


def test_connection_breaks_with_the_text_that_was_counted_to() -> None:
    severed = Severed()
    breaking = Breaking(Broken(3, "eof", "texts"), severed)
    assert breaking.pass_on(b"event: meta\n\n" + DELTA) == b"event: meta\n\n" + DELTA
    assert breaking.pass_on(DELTA) == DELTA
    assert severed.ends == []
    assert breaking.pass_on(DELTA) == DELTA
    assert severed.ends == ["eof"]
    assert breaking.pass_on(DELTA) == b""
    assert severed.ends == ["eof"]


def test_silence_severs_nothing() -> None:
    severed = Severed()
    breaking = Breaking(Broken(2, "silence"), severed)
    assert [breaking.pass_on(b"abc"), breaking.pass_on(b"def")] == [b"ab", b""]
    assert breaking.done
    assert severed.ends == []


@pytest.mark.parametrize("broke_before", [True, False])
def test_mended_connection_passes_all_on(broke_before: bool) -> None:
    severed = Severed()
    breaking = Breaking(Broken(2, "silence"), severed)
    if broke_before:
        breaking.pass_on(b"abc")
    breaking.mended = True
    assert breaking.pass_on(b"x" * 10) == b"x" * 10
    assert breaking.done is broke_before


def test_rows_are_found_by_their_names() -> None:
    assert all(name == row.name and row.about for name, row in FAULTS.items())


@pytest.mark.parametrize("row", IMPOSTORS, ids=lambda row: row.name)
async def test_impostor_says_its_piece_and_is_over(
    row: HopFault, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    assert isinstance(row.what, Impostor)
    near, far = memory_pair()
    nursery.start_soon(row.what.take, far)
    await near.send_all(b"POST /chat HTTP/1.1\r\n")
    got = b""
    with trio.move_on_after(60) as patience:
        try:
            while piece := await near.receive_some():
                got += piece
            ended = "eof"
        except trio.BrokenResourceError:
            ended = "reset"
    if row.what.then == "silence":
        assert patience.cancelled_caught
    else:
        assert ended == row.what.then
    assert got == row.what.answer
    await near.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert far.closed
    assert not nursery.child_tasks


async def test_impostor_that_is_left_at_once_is_over() -> None:
    near, far = memory_pair()
    near.reset()
    await Impostor(b"hello").take(far)
    assert far.closed


@pytest.mark.parametrize("row", BROKEN, ids=lambda row: row.name)
def test_what_the_reader_took_is_what_passed(row: HopFault) -> None:
    """In a real world: the log has all that was sent, and that it broke; the reader has a part."""
    evidence = run(Plan(calls=(Call(),), hops=(HopFaultAt("qs", row.name),)))
    link = next(link.number for link in evidence.wire.links if link.fault == row.name)
    down = [record for record in evidence.wire.of(link) if record.way == "down"]
    sent = sum(record.size for record in down if record.what == "sent")
    taken = sum(record.size for record in down if record.what == "taken")
    assert isinstance(row.what, Broken)
    assert any(record.what == "broken" for record in down)
    assert taken <= sent
    if row.what.counts == "bytes":
        # What came together with a reset is lost with it, as in a kernel.
        assert taken == row.what.after or (row.what.how == "reset" and taken < row.what.after)
    else:
        before = b"".join(record.data for record in down)[:taken]
        assert before.count(b"event: delta") == row.what.after
