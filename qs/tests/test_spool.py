"""The spool: turns on disk as they pass, found again whatever ended the program that wrote them."""

import errno
import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import attrs
import pytest
import trio

from contracts.chat import Citation, Usage
from contracts.events import CitationsProved, Delta, SourcesFound
from contracts.limits import SNIPPET_CHARS
from contracts.reasons import ReasonCode
from contracts.strict_json import ContractViolation
from harness.memory_store import inline
from harness.store_laws import TEXTS, a_turn
from qs.blocking import in_worker_threads
from qs.store.port import Ended, Feedback, KeptTurn
from qs.store.spool import TEXT_HELD_BYTES, Spool, SpooledTurn
from qs.store.spool_file import asked_of, line_of, turn_of
from qs.store.spool_folder import SpoolFolder

T = TypeVar("T")
TURN: Final = a_turn(1)
OK: Final = TURN.ended
GONE: Final = Ended("gone", ReasonCode.CLIENT_DISCONNECTED, None, None, {}, 5)


class Disk:
    """Where spools are, and what becomes durable there."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.synced: list[bytes] = []
        self.lost: list[str] = []

    def spool(self, sync: Callable[[int], None] | None = None) -> Spool:
        spool = Spool(SpoolFolder(self.place), inline, sync or self._sync)
        spool.on_lost = self.lost.append
        return spool

    def _sync(self, file: int) -> None:
        path = Path(f"/proc/self/fd/{file}").readlink()
        self.synced.append(b"folder" if path.is_dir() else path.read_bytes())

    def files(self, suffix: str = ".turn") -> list[Path]:
        return sorted(self.place.rglob(f"*{suffix}"))

    def all_bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.place.rglob("*") if path.is_file())


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "spool")


async def ends(turn: SpooledTurn, ended: Ended) -> None:
    """The turn, ended and told so."""
    await turn.ends(ended)
    turn.hand_over()


async def told(spool: Spool, turn: KeptTurn = TURN, *texts: str) -> SpooledTurn:
    """A turn of which all is told but its end."""
    spooled = await spool.begin(turn.asked)
    spooled.content_hashes = turn.content_hashes
    await spooled.takes(SourcesFound(turn.sources))
    if turn.citations:
        await spooled.takes(CitationsProved(turn.citations))
    for text in texts or ((turn.answer,) if turn.answer else ()):
        await spooled.takes(Delta(text))
    return spooled


async def test_question_is_on_disk_when_the_turn_has_begun_and_all_of_it_durable_when_it_ended(
    disk: Disk,
) -> None:
    spool = disk.spool()
    turn = await told(spool)
    (file,) = disk.files()
    assert asked_of(file.read_bytes()) == TURN.asked
    assert disk.synced == [b"folder"] * 2, "those that hold its folder"
    disk.synced.clear()
    await turn.ends(OK)
    assert len(spool.waiting) == 0
    assert disk.synced[1:] == [b"folder"]
    assert turn_of(disk.synced[0], 0) == TURN
    turn.hand_over()
    (ready,) = spool.waiting.next(9)
    assert await spool.read(ready) == TURN
    assert ready.asked.question == "", "questions are not held in memory"
    await ends(turn, GONE)
    turn.hand_over()
    assert await spool.read(ready) == TURN, "it was told so"
    await spool.remove([ready])
    assert (disk.files(), len(spool.waiting)) == ([], 0)
    assert await spool.read(ready) is None
    await spool.leave()
    assert [*disk.place.iterdir()] == [disk.place / "lock"]


async def test_no_more_than_its_bound_is_held_in_memory_when_an_answer_is_long(disk: Disk) -> None:
    turn = await told(disk.spool())
    before_text = len(turn._unwritten)
    for _ in range(100):
        await turn.takes(Delta("🌰" * 40))
        assert len(turn._unwritten) <= before_text + TEXT_HELD_BYTES
    assert len(disk.all_bytes()) > 100 * 160 - TEXT_HELD_BYTES


async def test_first_words_wait_for_no_disk_however_much_was_found(disk: Disk) -> None:
    turn = await disk.spool().begin(TURN.asked)
    question = disk.all_bytes()
    snippet = "🌰" * SNIPPET_CHARS
    many = tuple(attrs.evolve(TURN.sources[0], snippet=snippet) for _ in range(9))
    await turn.takes(SourcesFound(many))
    await turn.takes(Delta("Sesame"))
    assert disk.all_bytes() == question
    await turn.takes(Delta("s" * TEXT_HELD_BYTES))
    assert b"Sesame" in disk.all_bytes()


@pytest.mark.parametrize("length", [10, TEXT_HELD_BYTES, 5 * TEXT_HELD_BYTES])
@pytest.mark.parametrize("way", ["withdrawn", "gone"])
async def test_text_is_nowhere_when_it_was_withdrawn_or_cut(
    disk: Disk, length: int, way: str
) -> None:
    spool = disk.spool()
    turn = await told(spool, TURN, "Sesame", *["x" * 100 for _ in range(length // 100)], "Sesame")
    if way == "withdrawn":
        await turn.withdraw()
        assert b"Sesame" not in disk.all_bytes() + bytes(turn._unwritten)
    ended = attrs.evolve(GONE, status="fallback") if way == "withdrawn" else GONE
    await ends(turn, ended)
    assert b"Sesame" not in disk.all_bytes()
    kept = await spool.read(spool.waiting.next(1)[0])
    assert kept == attrs.evolve(TURN, ended=ended, answer=None, citations=())


@pytest.mark.parametrize("text", TEXTS)
async def test_any_text_is_read_back_as_it_was(disk: Disk, text: str) -> None:
    spool = disk.spool()
    asked = attrs.evolve(TURN.asked, question=text or "?", request_id="r.-_")
    turn = await told(spool, attrs.evolve(TURN, asked=asked), text or "?")
    await ends(turn, attrs.evolve(OK, model=text, usage=Usage(0, 0)))
    kept = await spool.read(spool.waiting.next(1)[0])
    assert kept is not None
    assert (kept.asked.question, kept.answer, kept.ended.model) == (text or "?", text or "?", text)


async def test_turn_ends_as_it_was_told_when_its_first_end_was_not(disk: Disk) -> None:
    spool = disk.spool()
    turn = await told(spool, TURN, *["Sesame" * 20] * 40)
    await turn.ends(OK)
    fallback = Ended("fallback", ReasonCode.HOP_TIMEOUT, None, None, {}, 7)
    await ends(turn, fallback)
    assert b"Sesame" not in disk.all_bytes()
    kept = await spool.read(spool.waiting.next(1)[0])
    assert kept == attrs.evolve(TURN, ended=fallback, answer=None, citations=())


async def test_text_is_nowhere_when_whoever_withdrew_it_was_cancelled_first(disk: Disk) -> None:
    spool = disk.spool()
    turn = await told(spool, TURN, "Sesame" * TEXT_HELD_BYTES)
    with trio.CancelScope() as left:
        left.cancel()
        await turn.withdraw()
    assert left.cancelled_caught
    await ends(turn, GONE)
    assert b"Sesame" not in disk.all_bytes()


# What another life has left.


async def test_everything_is_there_once_when_the_program_was_killed_at_any_byte(
    disk: Disk,
) -> None:
    spool = disk.spool()
    await ends(await told(spool), OK)
    (file,) = disk.files()
    whole = file.read_bytes()
    cut = Ended("interrupted", ReasonCode.HOP_DISCONNECTED, None, None, {}, 77)
    for size in range(whole.index(b"\n") + 1, len(whole) + 1):
        kept = turn_of(whole[:size], 77)
        if size < len(whole):
            assert kept.ended == cut
            assert (kept.answer, kept.citations) == (None, ())
        else:
            assert kept == TURN


async def test_turn_was_never_asked_when_the_program_was_killed_at_any_byte_of_its_question(
    disk: Disk,
) -> None:
    question = line_of(TURN.asked)
    for size in range(len(question)):
        dead = disk.spool()
        await ends(await told(dead), OK)
        dead.folder.path("000-cut.turn").write_bytes(question[:size])
        await dead.leave()
        heir = disk.spool()
        await heir.adopt()
        assert [ready.asked.turn_id for ready in heir.waiting.next(9)] == [TURN.asked.turn_id]
        await heir.remove(heir.waiting.next(9))
        assert disk.files() == disk.files(".bad") == []
    assert disk.lost == []


async def test_turns_are_taken_over_in_order_when_their_program_is_gone(disk: Disk) -> None:
    dead = disk.spool()
    for number in (2, 1, 3):
        turn = await told(dead, a_turn(number, opens=number == 1))
        if number != 3:
            await ends(turn, a_turn(number).ended)
    os.close(dead.folder._lock)  # as the kernel does when a program ends
    heir = disk.spool()
    await heir.adopt()
    found = [await heir.read(ready) for ready in heir.waiting.next(9)]
    assert [turn and turn.asked.turn_id[-1] for turn in found] == ["1", "2", "3"]
    assert [turn and turn.ended.status for turn in found] == ["ok", "ok", "interrupted"]
    assert len([one for one in disk.place.iterdir() if one.is_dir()]) == 1


async def test_nothing_is_taken_over_when_its_program_still_runs(disk: Disk) -> None:
    living = disk.spool()
    await ends(await told(living), OK)
    other = disk.spool()
    await other.adopt()
    assert len(other.waiting) == 0
    assert len(living.waiting) == 1
    await living.leave()
    await other.adopt()
    assert len(other.waiting) == 1, "what a program leaves behind is found by one that runs"


async def test_others_are_taken_over_when_one_folder_cannot_be_had(disk: Disk) -> None:
    for number in range(1, 6):
        dead = disk.spool()
        await ends(await told(dead, a_turn(number, opens=True)), OK)
        await dead.leave()
        (disk.place / f"{number}-nobody's" / "lock").mkdir(parents=True)
    heir = disk.spool()
    with pytest.raises(IsADirectoryError):
        await heir.adopt()
    assert len(heir.waiting) == 5


@pytest.mark.parametrize("what", [b"asked {}\n", b"\n", b"\xff\xfe\n", b"ended {}\n", b"lock"])
async def test_file_that_is_no_turn_is_set_aside_and_the_others_are_found(
    disk: Disk, what: bytes
) -> None:
    dead = disk.spool()
    await ends(await told(dead), OK)
    dead.folder.path("000-bad.turn").write_bytes(what)
    await dead.leave()
    heir = disk.spool()
    await heir.adopt()
    assert len(heir.waiting) == 1
    assert [path.name for path in disk.files(".bad")] == ["000-bad.bad"]
    assert len(disk.lost) == 1


@pytest.mark.parametrize(
    "damaged", [b"delta {\n", b'sources {"sources":[],"content_hashes":[null]}\n']
)
def test_line_that_was_damaged_in_the_middle_is_no_turn(damaged: bytes) -> None:
    data = line_of(TURN.asked) + damaged + line_of(OK)
    with pytest.raises(ContractViolation):
        turn_of(data, 0)


# Disks that fail.


async def test_turn_is_lost_counted_and_leaves_nothing_when_it_cannot_be_made_durable(
    disk: Disk,
) -> None:
    broken = True

    def sync(_: int) -> None:
        if broken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    spool = disk.spool(sync)
    await ends(await told(spool), OK)
    assert disk.lost == [spool.last_lost] == ["No space left on device"]
    assert (disk.files(), len(spool.waiting), spool.waiting.opening) == ([], 0, {})
    broken = False
    await ends(await told(spool, a_turn(2, opens=True)), OK)
    assert (spool.last_lost, len(spool.waiting), len(disk.lost)) == (None, 1, 1)


async def test_turn_is_lost_whole_when_its_asker_leaves_as_the_disk_fails(disk: Disk) -> None:
    with trio.CancelScope() as left:

        def sync(file: int) -> None:
            if not Path(f"/proc/self/fd/{file}").readlink().is_dir():
                left.cancel()
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        spool = disk.spool(sync)
        await ends(await told(spool), OK)
    assert disk.lost == ["Input/output error"]
    assert (disk.files(), spool.waiting.opening, spool._opening) == ([], {}, {})


async def test_nothing_is_left_when_its_asker_has_left_before_it_began(disk: Disk) -> None:
    spool = disk.spool()
    with trio.CancelScope() as left:
        left.cancel()
        await spool.begin(TURN.asked)
    assert left.cancelled_caught
    assert (disk.files(), spool.waiting.opening, spool._opening) == ([], {}, {})
    assert disk.lost == [], "no disk has failed"


async def test_file_is_closed_when_a_turn_is_given_up(disk: Disk) -> None:
    turn = await told(disk.spool())
    file = turn._file
    turn.give_up()
    assert len(disk.lost) == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


async def test_turn_is_kept_when_the_folder_was_deleted_under_the_program(disk: Disk) -> None:
    spool = disk.spool()
    await spool.adopt()
    for path in sorted(disk.place.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    disk.place.rmdir()
    await ends(await told(spool), OK)
    assert (disk.lost, len(disk.files())) == ([], 1)


async def test_turns_are_lost_one_by_one_when_the_place_is_a_file(disk: Disk) -> None:
    disk.place.touch()
    spool = disk.spool()
    for number in (1, 2):
        await ends(await told(spool, a_turn(number, opens=True)), OK)
    assert len(disk.lost) == 2
    assert spool.waiting.opening == {}


# Sessions.


async def test_turns_of_a_session_wait_for_the_one_that_opens_it(disk: Disk) -> None:
    spool = disk.spool()
    first = await told(spool, a_turn(1))
    second = await told(spool, a_turn(2))
    await ends(second, OK)
    other = await told(spool, a_turn(3, session_id="other", opens=True))
    await ends(other, OK)
    assert [one.asked.turn_id[-1] for one in spool.waiting.next(9)] == ["3"]
    assert len(spool.waiting) == 2
    await ends(first, OK)
    assert [one.asked.turn_id[-1] for one in spool.waiting.next(9)] == ["3", "1", "2"]
    await ends(await told(spool, a_turn(4)), OK)
    assert len(spool.waiting.next(9)) == len(spool.waiting) == 4
    assert spool.waiting.opening == {}


async def test_nothing_of_a_session_is_left_when_it_is_erased_while_its_turns_pass(
    disk: Disk,
) -> None:
    spool = disk.spool()
    first = await told(spool, a_turn(1, question="Sesame"), "Sesame")
    assert not await spool.erase(TURN.asked.session_id, "other")
    assert await spool.erase(TURN.asked.session_id, TURN.asked.owner)
    await first.takes(Delta("Sesame"))
    await ends(first, OK)
    assert (disk.files(), len(spool.waiting), disk.lost) == ([], 0, [])


async def test_first_turn_is_erased_when_it_ends_while_the_others_are(disk: Disk) -> None:
    spool = disk.spool()
    first = await told(spool, a_turn(1))
    await first.ends(OK)
    await ends(await told(spool, a_turn(2)), OK)

    async def ending(work: Callable[[], T], /) -> T:
        first.hand_over()
        return await inline(work)

    spool.run_blocking = ending
    assert await spool.erase(TURN.asked.session_id, TURN.asked.owner)
    assert (disk.files(), len(spool.waiting), disk.lost) == ([], 0, [])


@pytest.mark.parametrize("handed_over", [True, False])
async def test_session_can_be_erased_again_when_whoever_erased_it_left(
    disk: Disk, handed_over: bool
) -> None:
    spool = disk.spool()
    turn = await told(spool)
    if handed_over:
        await ends(turn, OK)
    with trio.CancelScope() as left:
        left.cancel()
        await spool.erase(TURN.asked.session_id, TURN.asked.owner)
    assert left.cancelled_caught
    assert await spool.erase(TURN.asked.session_id, TURN.asked.owner)
    await ends(turn, OK)
    assert (disk.files(), len(spool.waiting)) == ([], 0)


async def test_turn_is_erased_and_not_lost_when_its_end_is_being_written(disk: Disk) -> None:
    written, may_go_on = trio.Event(), threading.Event()

    def sync(file: int) -> None:
        if not Path(f"/proc/self/fd/{file}").readlink().is_dir():
            trio.from_thread.run_sync(written.set)
            assert may_go_on.wait(5)
            os.fstat(file)

    spool = disk.spool(sync)
    spool.run_blocking = in_worker_threads(trio.CapacityLimiter(2), abandon=False)
    turn = await told(spool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ends, turn, OK)
        await written.wait()
        nursery.start_soon(spool.erase, TURN.asked.session_id, TURN.asked.owner)
        with trio.move_on_after(0.02):  # nothing that could be waited for happens
            while disk.files():
                await trio.lowlevel.checkpoint()
        may_go_on.set()
    assert (disk.files(), len(spool.waiting), disk.lost) == ([], 0, [])


async def test_feedback_is_kept_when_the_line_before_it_was_cut_off(disk: Disk) -> None:
    dead = disk.spool()
    await ends(await told(dead), OK)
    (file,) = disk.files()
    file.write_bytes(file.read_bytes() + line_of(Feedback("up", None, 1))[:-9])
    await dead.leave()
    heir = disk.spool()
    await heir.adopt()
    (ready,) = heir.waiting.next(1)
    await heir.rated(ready, Feedback("down", None, 2))
    kept = await heir.read(ready)
    assert kept == attrs.evolve(TURN, feedback=Feedback("down", None, 2))


async def test_feedback_is_a_fault_and_the_turn_whole_when_the_disk_has_no_room(disk: Disk) -> None:
    spool = disk.spool()
    await ends(await told(spool), OK)
    (ready,), (file,) = spool.waiting.next(1), disk.files()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 9, before[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            await spool.rated(ready, Feedback("up", "x" * 99, 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert await spool.read(ready) == TURN
    await spool.rated(ready, Feedback("down", None, 2))
    assert await spool.read(ready) == attrs.evolve(TURN, feedback=Feedback("down", None, 2))


async def test_feedback_is_kept_with_a_turn_that_waits(disk: Disk) -> None:
    spool = disk.spool()
    await ends(await told(spool), OK)
    (ready,) = spool.waiting.next(1)
    for feedback in (Feedback("up", None, 1), Feedback("down", "no\nno", 2)):
        await spool.rated(ready, feedback)
    kept = await spool.read(ready)
    assert kept is not None
    assert kept.feedback == feedback
    assert Citation in {type(one) for one in kept.citations}
