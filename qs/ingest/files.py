"""The files of a root: which are there, and their bytes, or the reason why it cannot be had.

Nothing here stops the whole: a file or folder that cannot be read is a `Skipped` with its reason.
A file is opened only when it is a regular file of a size we take, so neither a pipe nor a huge file
can hang or fill the process. A link is followed only out of the root, to a folder only once: what
it leads to inside the root is read at its own place, and reading it twice would answer twice.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from attrs import frozen

from qs.ingest.faults import FileFault
from qs.ingest.readers import format_of, holds_records

ROOT: Final = "."  # the path of the root itself


@frozen
class Found:
    """A file that is to be read: its path relative to the root, and its size in bytes."""

    path: str
    size: int


@frozen
class Skipped:
    """A file or folder that was left out, relative to the root."""

    path: str
    reason: str


@frozen
class Ignored:
    """A file that no reader reads, or that is read at another place."""

    path: str


Listed = Found | Skipped | Ignored


def list_files(root: Path) -> Iterator[Listed]:
    """What is under the resolved root, in a stable order; names beginning with `.` are not.

    No more is held of it than the folders on the way to where the listing is.
    """
    linked = {root}
    pending = [root]
    while pending:
        folders: list[Path] = []
        yield from _list_folder(root, pending.pop(), linked, folders)
        pending.extend(reversed(folders))


def read_file(path: Path, max_bytes: int) -> bytes:
    """The file's bytes, whole and unchanged while they were read; raises `FileFault`."""
    with open_unchanging(path, max_bytes) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise FileFault("it changed while it was read")
    return content


@contextmanager
def open_unchanging(path: Path, max_bytes: int | None) -> Iterator[BinaryIO]:
    """The file, open for reading; raises `FileFault`, at its end also where it has changed."""
    try:
        _check_status(path.stat(), max_bytes)
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            yield file
            after = os.fstat(file.fileno())
    except OSError as error:
        raise FileFault(said(error)) from error
    _check_status(after, max_bytes)
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise FileFault("it changed while it was read")


def _check_status(status: os.stat_result, max_bytes: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileFault("it is not a regular file")
    if max_bytes is not None and status.st_size > max_bytes:
        raise FileFault(f"it is over {max_bytes // 1024**2} MB")


def said(error: OSError) -> str:
    """What the system says, as the end of a sentence."""
    return (error.strerror or str(error)).lower()


def _list_folder(
    root: Path, folder: Path, linked: set[Path], folders: list[Path]
) -> Iterator[Listed]:
    """What is in the folder; its own folders are entered into the list of those."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield Skipped(folder.relative_to(root).as_posix(), said(error))
        return
    for entry in entries:
        path = Path(entry.path)
        name = path.relative_to(root).as_posix()
        if entry.name.startswith("."):
            continue
        try:
            if not name.isprintable():
                raise FileFault("its name is not printable text")
            if not entry.is_dir():
                yield _listed(root, entry, name)
            elif not entry.is_symlink() or _leads_out(root, path, linked):
                folders.append(path)
        except OSError as error:
            yield Skipped(name, said(error))
        except FileFault as fault:
            yield Skipped(ascii(name)[1:-1], str(fault))


def _listed(root: Path, entry: os.DirEntry[str], name: str) -> Listed:
    doubled = entry.is_symlink() and Path(entry.path).resolve().is_relative_to(root)
    if doubled or not (format_of(name) or holds_records(name)):
        return Ignored(name)
    return Found(name, entry.stat().st_size)


def _leads_out(root: Path, link: Path, linked: set[Path]) -> bool:
    """Whether a linked folder brings in files that are not read anyway."""
    target = link.resolve(strict=True)
    if root.is_relative_to(target) or any(target.is_relative_to(one) for one in linked):
        raise FileFault("it links to a folder that is read already, or above it")
    linked.add(target)
    return True
