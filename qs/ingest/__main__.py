"""`python -m qs.ingest DIR`: bring the search index up to what a folder of documents holds.

Exit status: 0 when the folder's documents are in the index, whatever had to be skipped; 1 when
nothing could be done, said in one line; 2 for wrong arguments; 130 after Ctrl-C.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from attrs import evolve
from rich.console import Console

from hop.settings import SettingsError, load
from qs.config import QueryServiceSettings
from qs.ingest.engines import OpenWriter, open_writer
from qs.ingest.files import ROOT, Found, Listed, Skipped, list_files
from qs.ingest.pipeline import Summary, ingest
from qs.ingest.port import IndexFault
from qs.ingest.progress import shown

INTERRUPTED = 130
KINDS = "Markdown, HTML, text, PDF or JSON Lines"


class FolderFault(Exception):
    """There is nothing to ingest; the message says why."""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one ingest; the result is the exit status."""
    try:
        settings, _ = load(QueryServiceSettings, environ)
    except SettingsError as error:
        for line in error.lines:
            print(f"ingest: {line}", file=sys.stderr)
        return 1
    asked = _parser(settings).parse_args(arguments)
    if asked.index is not None:
        settings = evolve(settings, retriever="sqlite", index_path=asked.index)
    try:
        return _run(asked.folder, settings, asked.base_url)
    except (FolderFault, IndexFault) as fault:
        print(f"ingest: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ingest: interrupted; what was indexed so far stays", file=sys.stderr)
        return INTERRUPTED


def _run(folder: str, settings: QueryServiceSettings, base_url: str | None) -> int:
    started = time.monotonic()
    root = _root(folder)
    files, total_bytes = _size_of(root, folder)
    with open_writer(settings) as opened:
        if not files and not opened.index.paths(str(root), "", 1):
            raise FolderFault(f"nothing to ingest: no {KINDS} in {root}")
        print(f"{files} files in {root}", flush=True)
        summary = _ingested(root, base_url, opened, total_bytes)
        chunks = opened.index.count_chunks()
    _report(summary, opened.name, chunks, time.monotonic() - started)
    if not summary.indexed and not summary.removed:
        raise FolderFault(f"none of the documents in {root} could be ingested")
    return 0


def _ingested(root: Path, base_url: str | None, opened: OpenWriter, total_bytes: int) -> Summary:
    summary = Summary()
    with shown(summary, total_bytes, Console(stderr=True)) as show:
        return ingest(root, base_url, opened.index, list_files(root), show, summary)


def _root(folder: str) -> Path:
    try:
        root = Path(folder).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise FolderFault(f"no such folder: {folder}") from error
    if not root.is_dir():
        raise FolderFault(f"not a folder: {folder}")
    if not str(root).isprintable():
        raise FolderFault(f"its name is not printable text: {folder!a}")
    return root


def _size_of(root: Path, folder: str) -> tuple[int, int]:
    """How many files there are to read, and how many bytes: what the progress is measured by."""
    files = total_bytes = 0
    for item in _readable(list_files(root), folder):
        if isinstance(item, Found):
            files += 1
            total_bytes += item.size
    return files, total_bytes


def _readable(listed: Iterator[Listed], folder: str) -> Iterator[Listed]:
    for item in listed:
        if isinstance(item, Skipped) and item.path == ROOT:
            raise FolderFault(f"the folder cannot be read: {folder}")
        yield item


def _report(summary: Summary, index: str, chunks: int, seconds: float) -> None:
    for skipped in summary.skipped:
        print(f"skipped {skipped.path}: {skipped.reason}", file=sys.stderr)
    if more := summary.skipped_count - len(summary.skipped):
        print(f"skipped {more} more", file=sys.stderr)
    print(
        f"documents: {summary.new} new, {summary.changed} changed,"
        f" {summary.unchanged} unchanged, {summary.removed} removed,"
        f" {summary.skipped_count} skipped, {summary.ignored} of other kinds ignored"
    )
    print(f"chunks: {summary.chunks} written, {chunks} in {index}; {seconds:.1f} s")


def _parser(settings: QueryServiceSettings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qs.ingest",
        description=f"Bring the search index up to what a folder of {KINDS} holds. Which index"
        " that is, QS_RETRIEVER and its settings say, as for the query service.",
    )
    parser.add_argument("folder", metavar="DIR", help="the folder to read, with all below it")
    parser.add_argument(
        "--index",
        metavar="PATH",
        help=f"an index file, whatever the settings (QS_INDEX_PATH is {settings.index_path})",
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
    sys.exit(main(sys.argv[1:], os.environ))
