"""`python -m qs.ingest DIR`: bring the search index up to what a folder of documents holds.

Exit status: 0 when the folder's documents are in the index, whatever had to be skipped; 1 when
nothing could be done, said in one line; 2 for wrong arguments; 130 after Ctrl-C.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from qs.ingest.files import Listing, list_files
from qs.ingest.index_writer import IndexFault, open_index
from qs.ingest.pipeline import Summary, ingest

DEFAULT_INDEX = "var/index.sqlite3"
INTERRUPTED = 130


class FolderFault(Exception):
    """There is nothing to ingest; the message says why."""


def main(arguments: Sequence[str], default_index: str) -> int:
    """Run one ingest; the result is the exit status."""
    asked = _parser(default_index).parse_args(arguments)
    try:
        return _run(asked.folder, Path(asked.index), asked.base_url)
    except (FolderFault, IndexFault) as fault:
        print(f"ingest: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ingest: interrupted; what was indexed so far stays", file=sys.stderr)
        return INTERRUPTED


def _run(folder: str, index_path: Path, base_url: str | None) -> int:
    started = time.monotonic()
    root, listing = _look_into(folder)
    with open_index(index_path) as index:
        if not listing.files and not index.digests(str(root)):
            raise FolderFault(f"nothing to ingest: no Markdown, HTML or text in {root}")
        print(f"{len(listing.files)} documents in {root}", flush=True)
        with _progress(len(listing.files)) as advance:
            summary = ingest(root, base_url, index, listing, advance)
        chunks = index.count_chunks()
    _report(summary, index_path, chunks, time.monotonic() - started)
    if not summary.indexed and not summary.removed:
        raise FolderFault(f"none of the documents in {root} could be ingested")
    return 0


def _look_into(folder: str) -> tuple[Path, Listing]:
    try:
        root = Path(folder).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise FolderFault(f"no such folder: {folder}") from error
    if not root.is_dir():
        raise FolderFault(f"not a folder: {folder}")
    listing = list_files(root)
    if any(skipped.path == "." for skipped in listing.skipped):
        raise FolderFault(f"the folder cannot be read: {folder}")
    return root, listing


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal; nowhere else, for a log wants lines that stay true."""
    console = Console(stderr=True)
    columns = (TextColumn("ingesting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


def _report(summary: Summary, index_path: Path, chunks: int, seconds: float) -> None:
    for skipped in summary.skipped:
        print(f"skipped {skipped.path}: {skipped.reason}", file=sys.stderr)
    print(
        f"documents: {summary.new} new, {summary.changed} changed,"
        f" {summary.unchanged} unchanged, {summary.removed} removed,"
        f" {len(summary.skipped)} skipped, {summary.ignored} of other kinds ignored"
    )
    print(f"chunks: {summary.chunks} written, {chunks} in {index_path}; {seconds:.1f} s")


def _parser(default_index: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qs.ingest",
        description="Bring the search index up to what a folder of Markdown, HTML and text holds.",
    )
    parser.add_argument("folder", metavar="DIR", help="the folder to read, with all below it")
    parser.add_argument(
        "--index",
        metavar="PATH",
        default=default_index,
        help="the index file (default: QS_INDEX_PATH, here %(default)s)",
    )
    parser.add_argument(
        "--base-url",
        metavar="URL",
        type=_base_url,
        help="where the folder is published; citations then link to its pages",
    )
    return parser


def _base_url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.netloc or url.query or url.fragment:
        raise argparse.ArgumentTypeError("must be http(s)://HOST/PATH, without query or fragment")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ.get("QS_INDEX_PATH") or DEFAULT_INDEX))
