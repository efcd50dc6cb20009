"""The files of a root: which are there, and their text, or the reason why it cannot be had.

Nothing here stops the whole: a file or folder that cannot be read is a `Skipped` with its reason.
A file is opened only when it is a regular file of a size we take, so neither a pipe nor a huge file
can hang or fill the process. A link is followed only out of the root, to a folder only once: what
it leads to inside the root is read at its own place, and reading it twice would answer twice.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from qs.ingest.readers import reader_of

FILE_MAX_BYTES: Final = 20 * 1024 * 1024


class FileFault(Exception):
    """One file cannot be used; the message is the reason, for a person."""


@frozen
class Skipped:
    """A file or folder that was left out, relative to the root."""

    path: str
    reason: str


@define
class Listing:
    """What a root holds: the files to read in a stable order, and what is left out."""

    files: list[str] = field(factory=list)
    skipped: list[Skipped] = field(factory=list)
    ignored: int = 0


def list_files(root: Path) -> Listing:
    """Every file under the resolved root that a reader reads; names beginning with `.` are not."""
    listing = Listing()
    linked = {root}
    pending = [root]
    while pending:
        folders = _list_folder(root, pending.pop(), linked, listing)
        pending.extend(reversed(folders))
    return listing


def read_file(path: Path) -> bytes:
    """The file's bytes, whole and unchanged while they were read; raises `FileFault`."""
    try:
        _check_status(path.stat())
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            content = file.read(FILE_MAX_BYTES + 1)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise FileFault(_said(error)) from error
    _check_status(after)
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, len(content)):
        raise FileFault("it changed while it was read")
    return content


def decode(content: bytes) -> str:
    """The bytes as text; raises `FileFault` for what is none."""
    if b"\0" in content:
        raise FileFault("it is binary, not text")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFault(f"it is not UTF-8 (byte {error.start})") from error
    if not text.strip():
        raise FileFault("it is empty")
    return text


def _check_status(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileFault("it is not a regular file")
    if status.st_size > FILE_MAX_BYTES:
        raise FileFault(f"it is over {FILE_MAX_BYTES // 1024**2} MB")


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _list_folder(root: Path, folder: Path, linked: set[Path], listing: Listing) -> list[Path]:
    """Enter the folder's files into the listing; its own folders are returned."""
    folders: list[Path] = []
    for entry in _entries(root, folder, listing):
        path = Path(entry.path)
        name = path.relative_to(root).as_posix()
        try:
            if not name.isprintable():
                raise FileFault("its name is not printable text")
            if not entry.is_dir():
                _list_file(root, entry, name, listing)
            elif not entry.is_symlink() or _leads_out(root, path, linked):
                folders.append(path)
        except OSError as error:
            listing.skipped.append(Skipped(name, _said(error)))
        except FileFault as fault:
            listing.skipped.append(Skipped(ascii(name)[1:-1], str(fault)))
    return folders


def _entries(root: Path, folder: Path, listing: Listing) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        listing.skipped.append(Skipped(folder.relative_to(root).as_posix(), _said(error)))
        return
    yield from (entry for entry in entries if not entry.name.startswith("."))


def _list_file(root: Path, entry: os.DirEntry[str], name: str, listing: Listing) -> None:
    doubled = entry.is_symlink() and Path(entry.path).resolve().is_relative_to(root)
    if reader_of(name) and not doubled:
        listing.files.append(name)
    else:
        listing.ignored += 1


def _leads_out(root: Path, link: Path, linked: set[Path]) -> bool:
    """Whether a linked folder brings in files that are not read anyway."""
    target = link.resolve(strict=True)
    if target in linked or target.is_relative_to(root) or root.is_relative_to(target):
        raise FileFault("it links to a folder that is read already, or above it")
    linked.add(target)
    return True
