"""Goal: chunks are short, whole, placed by their headings, and named alike on every reading.

Method: properties over generated pages, and examples of what must stay together.
"""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.limits import URL_CHARS
from qs.ingest.chunker import MAX_CHARS, TITLE_MAX_CHARS, Chunk, chunk_page
from qs.ingest.page import Block, Kind, Page, Section

WORDS = st.sampled_from(["apt", "Konfiguration", "検索する。", "e.g.", "end.", "x" * 300, "- item"])
LINES = st.lists(WORDS, min_size=1, max_size=150).map("\n".join)
BLOCKS = (
    st.builds(
        Block,
        st.sampled_from((Kind.PROSE, Kind.LINES)),
        st.lists(WORDS, min_size=1, max_size=150).map(" ".join),
    )
    | st.builds(Block, st.just(Kind.LINES), LINES)
    | st.builds(Block, st.just(Kind.CODE), LINES.map("```sh\n{}\n```".format))
)
SECTIONS = st.builds(
    Section,
    st.lists(st.sampled_from(["Page", "One", "Two"]), max_size=3).map(tuple),
    st.none() | st.just("anchor"),
    st.lists(BLOCKS, min_size=1, max_size=4).map(tuple),
)
PAGES = st.builds(Page, st.just("Page"), st.lists(SECTIONS, max_size=4).map(tuple))


def _chunks(*blocks: Block, trail: tuple[str, ...] = ("Page",), path: str = "a.md") -> list[Chunk]:
    page = Page("Page", (Section(trail, None, blocks),))
    return list(chunk_page(page, path, None))


def _characters(texts: list[str]) -> str:
    """All but the blanks and the fences of code, which are repeated where code is cut."""
    return re.sub(r"```(?:sh\n)?|\s", "", "".join(texts))


@settings(max_examples=40)
@given(PAGES)
def test_no_word_is_lost_and_no_chunk_is_too_long_when_a_page_is_cut(page: Page) -> None:
    chunks = chunk_page(page, "guide/a b.md", None)
    written = [block.text for section in page.sections for block in section.blocks]
    assert _characters([chunk.content for chunk in chunks]) == _characters(written)
    assert all(0 < len(chunk.content) <= MAX_CHARS for chunk in chunks)
    assert all(chunk.content.count("```") % 2 == 0 for chunk in chunks)
    assert all(re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", chunk.chunk_id) for chunk in chunks)
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)
    assert list(chunks) == list(chunk_page(page, "guide/a b.md", None))


def test_ids_of_the_rest_stay_when_a_paragraph_is_put_before_them() -> None:
    first, second = Block(Kind.PROSE, "First. " * 100), Block(Kind.PROSE, "Second. " * 100)
    added = Block(Kind.PROSE, "Added. " * 110)
    before = {chunk.chunk_id for chunk in _chunks(first, second)}
    after = {chunk.chunk_id for chunk in _chunks(added, first, second)}
    assert len(before) == 2
    assert before < after


def test_ids_differ_when_the_same_words_stand_twice_or_in_another_file() -> None:
    same = Block(Kind.PROSE, "Same words. " * 70)
    once, twice = _chunks(same, same)
    (elsewhere,) = _chunks(same, path="b.md")
    assert len({once.chunk_id, twice.chunk_id, elsewhere.chunk_id}) == 3
    assert once.doc_id == twice.doc_id != elsewhere.doc_id


def test_the_title_is_the_trail_and_names_the_page_once() -> None:
    (chunk,) = _chunks(Block(Kind.PROSE, "Run it."), trail=("Page", "Install", "Step 2"))
    assert chunk.title == "Page › Install › Step 2"
    (chunk,) = _chunks(Block(Kind.PROSE, "Run it."), trail=("Install",))
    assert chunk.title == "Page › Install"
    (chunk,) = _chunks(Block(Kind.PROSE, "Run it."), trail=("Install " * 100,))
    assert len(chunk.title) == TITLE_MAX_CHARS


def test_code_stays_whole_and_with_its_announcement_when_it_fits() -> None:
    announcement = Block(Kind.PROSE, "Words before it. " * 40 + "Run this:")
    code = Block(Kind.CODE, "\n".join(["```sh", *(f"command {n}" for n in range(40)), "```"]))
    (chunk,) = _chunks(announcement, code)
    assert chunk.content == f"{announcement.text}\n\n{code.text}"


def test_each_part_of_long_code_has_its_fences() -> None:
    lines = [f"  command number {n}" for n in range(200)]
    chunks = _chunks(Block(Kind.CODE, "\n".join(["  ```sh", *lines, "  ```"])))
    assert len(chunks) > 1
    parts = [chunk.content.split("\n") for chunk in chunks]
    assert all((part[0], part[-1]) == ("  ```sh", "  ```") for part in parts)
    assert [line for part in parts for line in part[1:-1]] == lines


def test_a_long_list_is_cut_between_its_items() -> None:
    items = [f"- item {n}\n  {'more ' * 30}".rstrip() for n in range(20)]
    chunks = _chunks(Block(Kind.LINES, "\n".join(items)))
    assert len(chunks) > 1
    assert all(chunk.content.startswith("- item") for chunk in chunks)


def test_a_long_paragraph_is_cut_between_its_sentences() -> None:
    chunks = _chunks(Block(Kind.PROSE, "A sentence of some words. " * 100))
    assert len(chunks) > 1
    assert all(chunk.content.endswith("words.") for chunk in chunks)


@pytest.mark.parametrize(
    ("base_url", "anchor", "url"),
    [
        (None, "step", None),
        ("https://docs.example/v1/", "step", "https://docs.example/v1/guide/a%20b.md#step"),
        ("https://docs.example", None, "https://docs.example/guide/a%20b.md"),
        ("https://docs.example", "größe", "https://docs.example/guide/a%20b.md#gr%C3%B6%C3%9Fe"),
        ("https://docs.example", "ß" * 400, "https://docs.example/guide/a%20b.md"),
        ("https://docs.example/" + "x" * URL_CHARS, "step", None),
    ],
)
def test_the_url_is_the_place_under_the_base_url(
    base_url: str | None, anchor: str | None, url: str | None
) -> None:
    page = Page("Page", (Section((), anchor, (Block(Kind.PROSE, "Text."),)),))
    (chunk,) = chunk_page(page, "guide/a b.md", base_url)
    assert chunk.url == url
