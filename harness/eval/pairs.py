"""Questions and where their answers stand, out of the headings of a FAQ.

A heading is a question and its section the answer. The section is put into the index without that
heading, under the headings above it alone: with it, every question would find itself. What is
measured is therefore harder than what a reader of the same FAQ meets.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from qs.ingest.chunker import Chunk, chunk_page
from qs.ingest.html_reader import read_html

_NUMBER: Final = re.compile(
    r"(?:第\s*\d+\s*章|Chapter\s+\d+\.|\d+장\.|[\d.]+\.|[A-Z](?:\.\d+)+\.)\s*"
)


@frozen
class Pairs:
    """A corpus to be searched: its chunks, and the section that each question is to find."""

    chunks: Sequence[Chunk]
    section_of: Mapping[str, str]  # a chunk's section, by its id
    questions: Mapping[str, str]  # a section's question, by the section


def pairs_of(pages: Sequence[Path]) -> Pairs:
    """The pairs in these pages."""
    chunks: list[Chunk] = []
    section_of: dict[str, str] = {}
    questions: dict[str, str] = {}
    for page in pages:
        for number, (section, chunk) in enumerate(_sections(page)):
            named = evolve(chunk, chunk_id=f"{page.name}:{number}")
            if len(chunk.trail) > 1:
                questions[section] = _NUMBER.sub("", chunk.trail[-1], count=1)
                named = evolve(named, trail=(*chunk.trail[:-1], ""))
            section_of[named.chunk_id] = section
            chunks.append(named)
    return Pairs(chunks, section_of, questions)


def _sections(page: Path) -> Iterator[tuple[str, Chunk]]:
    """Each chunk of a page, and the name of its section."""
    read = read_html(page.read_text("utf-8"), page.stem)
    for chunk in chunk_page(read, page.name, None):
        yield "\n".join((page.name, *chunk.trail)), chunk
