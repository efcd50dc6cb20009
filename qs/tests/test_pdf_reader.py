"""Goal: a PDF becomes a page with its text and its places, or says in one line why it cannot.

Method: small files made here, read as bytes; and files that are cut, changed or none at all.
"""

from itertools import count
from random import Random

import pytest

from qs.ingest.chunker import chunk_page
from qs.ingest.faults import FileFault
from qs.ingest.page import Page
from qs.ingest.pdf_reader import PAGES_MAX, read_pdf
from qs.tests.pdf_documents import pdf

LINES = [
    "The archive is signed, and a pack-",
    "age that is not is refused by apt.",
    "",
    "Keys expire.",
]


def _texts(page: Page) -> list[list[str]]:
    return [[block.text for block in section.blocks] for section in page.sections]


def test_lines_become_paragraphs_and_a_cut_word_is_whole() -> None:
    page = read_pdf(pdf([LINES]), "manual")
    assert page.title == "manual"
    assert " ".join(_texts(page)[0]) == (
        "The archive is signed, and a package that is not is refused by apt. Keys expire."
    )


def test_each_page_is_a_place_under_the_outlines_headings() -> None:
    made = pdf(
        [["Before it."], ["On keys."], ["More on keys."]],
        title="The Manual",
        outline=[("Keys", 1)],
    )
    page = read_pdf(made, "manual")
    assert page.title == "The Manual"
    assert [section.trail for section in page.sections] == [(), ("Keys",), ("Keys",)]
    chunks = chunk_page(page, "manual.pdf", "https://docs.example")
    assert [(chunk.title, chunk.url) for chunk in chunks] == [
        ("The Manual", "https://docs.example/manual.pdf#page=1"),
        ("The Manual › Keys", "https://docs.example/manual.pdf#page=2"),
        ("The Manual › Keys", "https://docs.example/manual.pdf#page=3"),
    ]


def test_a_file_encrypted_without_a_password_is_read_and_one_with_it_is_refused() -> None:
    assert _texts(read_pdf(pdf([["Open to all."]], password=""), "a")) == [["Open to all."]]
    with pytest.raises(FileFault, match="password"):
        read_pdf(pdf([["Not to all."]], password="secret"), "a")


def test_a_scan_has_no_sections() -> None:
    assert read_pdf(pdf([[]]), "scan").sections == ()


def test_a_file_of_too_many_pages_is_refused() -> None:
    with pytest.raises(FileFault, match=f"over {PAGES_MAX} pages"):
        read_pdf(pdf([()] * (PAGES_MAX + 1)), "long")


def test_a_file_that_takes_too_long_is_refused_at_the_page_where_it_does() -> None:
    made, slow, allowed = pdf([LINES] * 4), count(step=12.0), count(step=11.0)
    with pytest.raises(FileFault, match="too long: 3 pages in 36 s"):
        read_pdf(made, "heavy", lambda: next(slow))
    assert len(read_pdf(pdf([LINES] * 3), "heavy", lambda: next(allowed)).sections) == 3


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n", b"not a PDF at all", b"\0" * 100])
def test_what_is_no_pdf_is_a_fault(content: bytes) -> None:
    with pytest.raises(FileFault):
        read_pdf(content, "none")


def test_a_damaged_file_is_a_page_or_a_fault_and_nothing_else() -> None:
    whole, random = pdf([LINES], title="Whole", outline=[("Part", 0)]), Random(7)  # noqa: S311 - the same each time
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(random.randint(1, 20)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        try:
            page = read_pdf(bytes(damaged[: random.randint(1, len(damaged))]), "damaged")
        except FileFault:
            refused += 1
        else:
            assert page.title
    assert refused
