"""Follow-up questions, measured: are the sections that answer them found?

    python -m harness.dialogues                     the handbook's, into an index of their own
    python -m harness.dialogues --faq DIR           the Debian FAQ's, DIR being its folder of HTML

`docs/dialogues.toml` has the dialogues. Each is searched for twice, as it was asked and with what
`qs.retrieval.followup` adds; the share that is found among the first five is printed for both, and
every miss. The folder of the FAQ is `usr/share/doc/debian/FAQ` of the Debian packages `debian-faq`,
`-ja`, `-ko` and `-zh-cn`; the other languages' are in folders of it.
"""

import argparse
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from contracts.codec import structure
from qs.ingest.files import list_files
from qs.ingest.index_writer import open_index
from qs.ingest.pipeline import ingest
from qs.retrieval.followup import FUSED_HITS, fused, queries
from qs.retrieval.sqlite_index import SqliteIndex

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
TOP: Final = 5
HANDBOOK: Final = "handbook"
_LANGUAGES: Final = ("en", "ja", "ko", "zh-cn")


@frozen
class Dialogue:
    """What was asked before, the question, and what stands in the titles of what answers it."""

    earlier: tuple[str, ...]
    question: str
    answer: str
    language: str = HANDBOOK

    def answered_by(self, title: str) -> bool:
        """Whether a section of this title is one of them."""
        if self.language == HANDBOOK:
            return self.answer in title
        return re.search(rf"(?<![\d.]){re.escape(self.answer)}(?!\d)", title) is not None


@frozen
class _File:
    dialogue: list[Dialogue]


def dialogues(language: str = HANDBOOK) -> list[Dialogue]:
    """Those of the handbook, or of the FAQ in one language."""
    listed = tomllib.loads((DOCS / "dialogues.toml").read_text(encoding="utf-8"))
    found: list[Dialogue] = structure(listed, _File).dialogue
    return [one for one in found if one.language == language]


def index_of(folder: Path, index: Path) -> Path:
    """The folder's documents as an index."""
    with open_index(index) as writer:
        ingest(folder, None, writer, list_files(folder), lambda: None)
    return index


def misses(
    index: Path, asked: Sequence[Dialogue], words_of: Callable[[Dialogue], Sequence[str]]
) -> list[Dialogue]:
    """The dialogues whose answer is not among the first that are found."""

    async def search() -> list[Dialogue]:
        retriever, missed = SqliteIndex(index), []
        for one in asked:
            found = [await retriever.search(words, FUSED_HITS) for words in words_of(one)]
            hits = fused(found, TOP)[:TOP]
            if not any(one.answered_by(hit.title or "") for hit in hits):
                missed.append(one)
        await retriever.aclose()
        return missed

    return trio.run(search)


def alone(one: Dialogue) -> Sequence[str]:
    """The question as it was asked."""
    return (one.question,)


def following(one: Dialogue) -> Sequence[str]:
    """The question as it is searched for in a conversation."""
    return queries(one.question, one.earlier)


def _folders(faq: Path | None) -> Iterator[tuple[str, Path]]:
    if faq is None:
        yield HANDBOOK, DOCS
        return
    for language in _LANGUAGES:
        yield language, faq if language == "en" else faq / language


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m harness.dialogues", description=summary)
    parser.add_argument("--faq", type=Path, metavar="DIR", help="the Debian FAQ's folder")
    faq = parser.parse_args(arguments).faq
    if faq is not None and not faq.is_dir():
        print(f"{faq}: no such folder", file=sys.stderr)
        return 2
    for language, folder in _folders(faq):
        asked = dialogues(language)
        with tempfile.TemporaryDirectory() as place:
            index = index_of(folder, Path(place) / "index.sqlite3")
            before, after = misses(index, asked, alone), misses(index, asked, following)
        for one in after:
            print(f"  missed  {following(one)[0]}  -> {one.answer}")
        found = len(asked) - len(after)
        print(f"{language:9} alone {len(asked) - len(before)}, following {found} of {len(asked)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
