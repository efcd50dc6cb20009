"""The spool's folder, for blocking use: one folder for each running program, locked by it.

    QS_SPOOL_DIR/lock                    held while folders are made and taken over
    QS_SPOOL_DIR/<program>/lock          held by the program as long as it lives
    QS_SPOOL_DIR/<program>/<turn>.turn   a turn that is being written or has not been moved on
    QS_SPOOL_DIR/<program>/<turn>.bad    one that cannot be read or kept, for a person to look at

A folder whose lock nobody holds is of a program that has ended; what it left is taken over. So
programs may share a spool, and a new one may start while the old one still drains.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from attrs import define, field

TURN: Final = ".turn"
BAD: Final = ".bad"
_LOCK: Final = "lock"
_PRIVATE: Final = 0o700  # it holds what people have asked


@define
class SpoolFolder:
    """This program's folder at a place that others may use too. Every method may raise OSError."""

    place: Path
    own: Path | None = None
    _lock: int = field(default=-1, init=False)

    def make(self) -> bool:
        """Make this program's folder where there is none; whether it was made."""
        self.place.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        with _locked(self.place / _LOCK):
            if self.own is not None and self.own.exists():
                return False
            self._make()
            return True

    def take_over(self, found: list[str]) -> None:
        """Add to `found` the names of the turns that programs which have ended left.

        One folder that cannot be had keeps nobody from the others; its OSError comes last.
        """
        fault: OSError | None = None
        with _locked(self.place / _LOCK):
            others = [one for one in self.place.iterdir() if one.is_dir() and one != self.own]
            for other in others:
                try:
                    self._take_over(other, found)
                except OSError as error:
                    fault = error
        if fault is not None:
            raise fault

    def path(self, name: str) -> Path:
        """Where a file of this program is."""
        if self.own is None:
            raise FileNotFoundError(f"no folder in {self.place}")
        return self.own / name

    def leave(self) -> None:
        """Let go of the folder; one with turns in it stays for whoever starts next."""
        if self.own is None:
            return
        with suppress(OSError), _locked(self.place / _LOCK):
            if not any(one.name != _LOCK for one in self.own.iterdir()):
                (self.own / _LOCK).unlink(missing_ok=True)
                self.own.rmdir()
        os.close(self._lock)
        self.own = None

    def _make(self) -> None:
        made = self.place / secrets.token_hex(8)
        made.mkdir(mode=_PRIVATE)
        lock = os.open(made / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if self._lock >= 0:
            os.close(self._lock)
        self.own, self._lock = made, lock

    def _take_over(self, other: Path, found: list[str]) -> None:
        """Move what a program that has ended left into our folder."""
        assert self.own is not None
        lock = os.open(other / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for one in sorted(one for one in other.iterdir() if one.name != _LOCK):
                one.rename(self.own / one.name)
                if one.suffix == TURN:
                    found.append(one.name)
            (other / _LOCK).unlink()
            other.rmdir()
        except BlockingIOError:
            return  # it runs
        finally:
            os.close(lock)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
