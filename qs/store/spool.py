"""The spool: every turn on disk as it passes, durable before its end is told, until it is stored.

    turn = await spool.begin(asked)        the question is on disk
    await turn.takes(event)                what is told of it, in order; text is written as it comes
    await turn.ends(ended)                 durable on return
    turn.hand_over()                       it was told so, and waits now for the store

A turn whose file cannot be written is lost, counted and logged, and nothing else happens: it is
answered all the same, and the next one tries the disk anew. Of its text no more than
`TEXT_HELD_BYTES` are held in memory; text that does not end well is cut out of the file at once.
"""

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs
import trio
from attrs import define, field

from contracts.chat import Source
from contracts.events import CitationsProved, Delta, SourcesFound, StreamEvent
from contracts.strict_json import ContractViolation
from qs.blocking import RunBlocking
from qs.store.port import Asked, Ended, Feedback, KeptTurn
from qs.store.spool_file import Line, asked_of, line_of, never_asked, shown_of, turn_of
from qs.store.spool_folder import BAD, TURN, SpoolFolder
from qs.store.waiting import Ready, Waiting

Sync = Callable[[int], None]
OnLost = Callable[[str], None]
TEXT_HELD_BYTES: Final = 2_048
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@define(eq=False)
class SpooledTurn:
    """One turn, being written."""

    asked: Asked
    _spool: "Spool"
    content_hashes: dict[str, str] = field(factory=dict)
    _file: int = field(default=-1, init=False)
    _unwritten: bytearray = field(factory=bytearray, init=False)
    _written: int = field(default=0, init=False)
    _text_from: int | None = field(default=None, init=False)
    ended: bool = field(default=False, init=False)
    _over: bool = field(default=False, init=False)  # handed over, lost or erased
    _at_work: trio.Lock = field(factory=trio.Lock, init=False)  # an eraser comes from elsewhere

    @property
    def name(self) -> str:
        """Its file's name: sorts by the time of the question."""
        return f"{self.asked.asked_ms:015d}-{self.asked.turn_id}{TURN}"

    async def takes(self, event: StreamEvent) -> None:
        """Keep what an event says; `error` and `done` come by `ends`."""
        if isinstance(event, SourcesFound):
            self._add(self._shown(event.sources))
        elif isinstance(event, CitationsProved):
            self._add(event)
        elif isinstance(event, Delta):
            if self._text_from is None:
                self._text_from = self._written + len(self._unwritten)
            self._add(event)
            # Of its text alone: what goes before it would have the first words wait for the disk.
            before = max(self._text_from - self._written, 0)
            if len(self._unwritten) - before > TEXT_HELD_BYTES:
                await self._do(self._write)

    async def ends(self, ended: Ended) -> None:
        """Make it durable, as it ended. Until it is handed over it may end otherwise after all."""
        if ended.status != "ok":
            await self.withdraw()
        self._add(ended)
        await self._do(self._finish)
        self.ended = not self._over

    def hand_over(self) -> None:
        """It ended as it was told: from here on it waits for the store."""
        if self.ended and not self._over:
            self._over = True
            self._close()
            self._spool.turn_ended(Ready(self.name, attrs.evolve(self.asked, question="")))

    async def withdraw(self) -> None:
        """Its text is nowhere any more."""
        at = self._text_from
        if at is None:
            return
        if at >= self._written:
            del self._unwritten[at - self._written :]
        else:
            self._unwritten.clear()
            await self._do(lambda: self._cut(at))
        self._text_from = None  # not before: whoever is cancelled in between comes back for it

    def give_up(self) -> None:
        """It must have ended by now; where it has not, it is lost."""
        if not self._over:
            self._over = True
            self._close()
            self._spool.turn_lost(self.asked, "its end could not be written in time")

    async def erase(self) -> None:
        """Nothing of it is kept, however it ends."""
        async with self._at_work:
            if self._over:
                return
            self._over = True
            # Half erased it would be nobody's, and come back when the next program starts.
            with trio.CancelScope(shield=True):
                await self._spool.run_blocking(self._remove)

    async def open(self) -> None:
        """Write the question."""
        self._add(self.asked)
        await self._do(self._create)

    def _shown(self, sources: tuple[Source, ...]) -> Line:
        return shown_of(sources, self.content_hashes)

    def _add(self, line: Line) -> None:
        if not self._over:
            self._unwritten += line_of(line)

    async def _do(self, work: Callable[[], None]) -> None:
        """Work on the file; where that fails the turn is lost."""

        def all_or_nothing() -> None:
            try:
                work()
            except OSError:
                self._remove()
                raise

        async with self._at_work:
            if self._over:
                return
            try:
                await self._spool.run_blocking(all_or_nothing)
            except OSError as error:
                self._over = True
                self._unwritten.clear()
                self._spool.turn_lost(self.asked, error.strerror or str(error))

    def _create(self) -> None:
        folder = self._spool.folder
        try:
            self._file = os.open(folder.path(self.name), _NEW, 0o600)
        except FileNotFoundError:  # not made yet, or deleted under us
            self._spool.make_folder()
            self._file = os.open(folder.path(self.name), _NEW, 0o600)
        self._write()

    def _write(self) -> None:
        while self._unwritten:
            count = os.write(self._file, self._unwritten)
            del self._unwritten[:count]
            self._written += count

    def _cut(self, at: int) -> None:
        os.ftruncate(self._file, at)
        os.lseek(self._file, at, os.SEEK_SET)
        self._written = at

    def _finish(self) -> None:
        self._write()
        self._spool.sync(self._file)
        self._spool.sync_folder()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _remove(self) -> None:
        self._close()
        with suppress(OSError):
            self._spool.folder.path(self.name).unlink(missing_ok=True)


@define(eq=False)
class Spool:
    """All turns on disk. `sync` makes a file durable; `on_lost` hears why a turn is not kept.

    `run_blocking` must not leave work behind when its caller is cancelled: order matters here.
    """

    folder: SpoolFolder
    run_blocking: RunBlocking
    sync: Sync = os.fsync
    on_ended: Callable[[], None] = field(default=lambda: None, init=False)
    on_lost: OnLost = field(default=lambda _: None, init=False)
    last_lost: str | None = field(default=None, init=False)  # None again when one is kept
    waiting: Waiting = field(factory=Waiting, init=False)
    _opening: dict[str, SpooledTurn] = field(factory=dict, init=False)  # by session
    _found: list[str] = field(factory=list, init=False)  # names taken over, still to be read

    async def begin(self, asked: Asked) -> SpooledTurn:
        """A turn whose question is on disk, or that is lost."""
        turn = SpooledTurn(asked, self)
        self.waiting.begun(asked)
        if asked.opens:
            self._opening[asked.session_id] = turn
        try:
            await turn.open()
        except BaseException:  # its asker has left, and nothing was begun
            self._not_opening(asked)
            raise
        return turn

    async def adopt(self) -> None:
        """Take over what programs that have ended left. Raises OSError."""

        adopted, faults = await self.run_blocking(self._take_over)
        self.waiting.adopted(adopted)
        if adopted:
            self.on_ended()
        for fault in faults:
            raise fault

    async def read(self, ready: Ready) -> KeptTurn | None:
        """A turn that has ended; None where it has gone, or makes no sense and was set aside.

        Raises OSError.
        """
        return await self.run_blocking(lambda: self._read(ready.name))

    async def rated(self, ready: Ready, feedback: Feedback) -> None:
        """Add feedback to a turn that has ended, durable on return. Raises OSError."""

        def append() -> None:
            path, line = self.folder.path(ready.name), line_of(feedback)
            whole = path.read_bytes().rfind(b"\n") + 1  # what a kill has cut off was never written
            file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.ftruncate(file, whole)
                if os.pwrite(file, line, whole) < len(line):
                    os.ftruncate(file, whole)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self.sync(file)
            finally:
                os.close(file)

        await self.run_blocking(append)

    async def remove(self, turns: Iterable[Ready]) -> None:
        """Forget turns that are stored. Raises OSError."""
        turns = list(turns)

        def unlink() -> None:
            for ready in turns:
                self.folder.path(ready.name).unlink(missing_ok=True)

        # Only then: what is forgotten and still there would come back when the next program starts.
        await self.run_blocking(unlink)
        for ready in turns:
            self.waiting.gone(ready)

    async def set_aside(self, ready: Ready) -> None:
        """Keep a turn that no store takes where only a person looks. Raises OSError."""
        await self.run_blocking(lambda: self._set_aside(ready.name))
        self.waiting.gone(ready)

    async def erase(self, session_id: str, owner: str) -> bool:
        """Delete all of a session that is here; whether there was anything. Raises OSError."""
        opening = self._opening.get(session_id)
        mine = opening if opening and opening.asked.owner == owner else None
        if mine:
            await mine.erase()
            self._not_opening(mine.asked)
        # Only now: what was opening may have ended meanwhile.
        ready = self.waiting.of_session(session_id, owner)
        await self.remove(ready)
        return bool(mine or ready)

    async def leave(self) -> None:
        """Let go of the folder."""
        await self.run_blocking(self.folder.leave)

    def turn_ended(self, ready: Ready) -> None:
        """A turn is whole and durable."""
        if ready.asked.opens:
            self._opening.pop(ready.asked.session_id, None)
        self.last_lost = None
        self.waiting.ended(ready)
        self.on_ended()

    def turn_lost(self, asked: Asked, why: str) -> None:
        """A turn could not be kept."""
        self._not_opening(asked)
        self.last_lost = why
        self.on_lost(why)

    def make_folder(self) -> None:
        """Make the folder where there is none, durably; blocking. Raises OSError."""
        if self.folder.make():
            for made in (self.folder.place, self.folder.place.parent):
                self._sync_at(made)

    def sync_folder(self) -> None:
        """Make the names of the files durable; blocking."""
        self._sync_at(self.folder.path(""))

    def _sync_at(self, path: Path) -> None:
        folder = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.sync(folder)
        finally:
            os.close(folder)

    def _take_over(self) -> tuple[list[Ready], list[OSError]]:
        """What others left; what cannot be had now is looked for again the next time."""
        self.make_folder()
        faults: list[OSError] = []
        try:
            self.folder.take_over(self._found)
        except OSError as error:
            faults.append(error)
        names, self._found = self._found, []
        adopted = []
        for name in names:
            try:
                adopted.append(self._ready(name))
            except OSError as error:
                self._found.append(name)
                faults.append(error)
        return [ready for ready in adopted if ready], faults

    def _not_opening(self, asked: Asked) -> None:
        if asked.opens:
            self._opening.pop(asked.session_id, None)
            self.waiting.not_opening(asked)

    def _ready(self, name: str) -> Ready | None:
        path = self.folder.path(name)
        try:
            data = path.read_bytes()
            if never_asked(data):
                path.unlink()
                return None
            asked = asked_of(data)
        except FileNotFoundError:
            return None
        except ContractViolation:
            self._set_aside(name)
            return None
        return Ready(name, attrs.evolve(asked, question=""))

    def _read(self, name: str) -> KeptTurn | None:
        path = self.folder.path(name)
        try:
            cut_ms = int(path.stat().st_mtime * 1000)
            return turn_of(path.read_bytes(), cut_ms)
        except FileNotFoundError:
            return None
        except ContractViolation:
            self._set_aside(name)
            return None

    def _set_aside(self, name: str) -> None:
        path = self.folder.path(name)
        path.rename(path.with_suffix(BAD))
        self.on_lost("a turn cannot be read or kept")
