"""Goal: each format becomes the same readable page: headings, text, lists, code and tables.

Method: small documents in, blocks of text out; and a few hostile ones that must end.
"""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qs.ingest.html_reader import read_html
from qs.ingest.markdown_reader import read_markdown
from qs.ingest.page import HEADING_MAX_CHARS, Page
from qs.ingest.readers import FORMATS, format_of, holds_records
from qs.ingest.text_reader import read_text

MARKDOWN = """---
title: Ignored, for there is a heading
---

# Installing

Get the *package* with `apt`, from [the archive](https://deb.example/):

```sh
apt update
    apt install bsl
```

## On Debian

1. First
2. Second, which
   goes on

   with a paragraph
   - inner `code`

| name | meaning |
|------|---------|
| `A`  | the first |

<!-- unseen --><div>Inside <b>HTML</b>.</div>

## On Debian
Again.
"""

HTML = """<!DOCTYPE html><html><head><title>The title</title><style>p{}</style></head><body>
<nav><a href="/">Home</a></nav><header>Site <b>name</b></header>
<div class="toc"><ul><li>8.5. Which package?</li></ul></div>
<div class="chapter"><h1 class="title"><a id="tools"></a>Chapter 8.  Tools</h1>
<p>Some   words<br/>on two lines.</p><script>alert(1)</script>
<h2 id="search">8.5. Which <code>package</code>?</h2>
<p>Execute either:</p>
<ul><li><p><code>dpkg --search foo</code></p><p>in what is installed</p><pre>
dlocate -S foo
  indented
</pre></li><li>second<ol start="3"><li>inner</li></ol></li></ul>
<table><tr><th>Name</th><th>Meaning</th></tr><tr><td><p>A</p></td><td>the
first</td></tr></table>
<!-- unseen --><dl><dt>Term</dt><dd>what it means</dd></dl>
</div><footer>Imprint</footer></body></html>"""


def _texts(page: Page) -> list[list[str]]:
    return [[block.text for block in section.blocks] for section in page.sections]


def test_markdown_becomes_sections_of_plain_text() -> None:
    page = read_markdown(MARKDOWN, "file")
    assert page.title == "Installing"
    assert [section.trail for section in page.sections] == [
        ("Installing",),
        ("Installing", "On Debian"),
        ("Installing", "On Debian"),
    ]
    assert [section.anchor for section in page.sections] == [
        "installing",
        "on-debian",
        "on-debian-1",
    ]
    assert _texts(page) == [
        [
            "Get the package with `apt`, from the archive:",
            "```sh\napt update\n    apt install bsl\n```",
        ],
        [
            "1. First\n2. Second, which goes on\n  with a paragraph\n  - inner `code`",
            "name | meaning\n`A` | the first",
            "Inside HTML.",
        ],
        ["Again."],
    ]


def test_markdown_is_named_by_its_metadata_or_its_file_when_it_has_no_heading() -> None:
    assert read_markdown('---\ntitle: "A guide"\n---\ntext', "file").title == "A guide"
    assert read_markdown("only text", "file").title == "file"


def test_html_becomes_its_text_without_the_frame() -> None:
    page = read_html(HTML, "file")
    assert page.title == "Chapter 8. Tools"
    assert [(section.trail[-1], section.anchor) for section in page.sections] == [
        ("Chapter 8. Tools", "tools"),
        ("8.5. Which package?", "search"),
    ]
    assert _texts(page) == [
        ["Some words\non two lines."],
        [
            "Execute either:",
            "- `dpkg --search foo`\n  in what is installed",
            "  ```\n  dlocate -S foo\n    indented\n  ```",
            "- second\n  3. inner",
            "Name | Meaning\nA | the first",
            "Term",
            "what it means",
        ],
    ]


def test_html_is_named_by_its_title_when_it_has_no_heading() -> None:
    assert read_html("<title>The  title</title><p>text", "file").title == "The title"
    assert read_html("<p>text", "file").title == "file"


def test_a_table_that_holds_the_page_is_read_as_the_page() -> None:
    page = read_html("<table><tr><td>menu<td><h1>Head</h1><p>text</table>", "file")
    assert page.title == "Head"
    assert _texts(page) == [["menu"], ["text"]]


SOON_S = 5.0  # of a processor; where each part is looked at for each other one, it is over 10
HOSTILE_HTML = {
    "a list's number of 5,000 digits": f"<ol start={'9' * 5_000}><li>x</ol>",
    "a row of 16,000 cells": f"<table><tr>{'<td>a' * 16_000}",
    "headings inside headings": "<h1>a<div>" * 12_000,
}


@pytest.mark.parametrize("name", HOSTILE_HTML)
def test_hostile_html_is_some_page_soon(name: str) -> None:
    began = time.process_time()
    assert read_html(HOSTILE_HTML[name], "name").title
    assert time.process_time() - began < SOON_S


def test_markdowns_metadata_is_read_soon_when_its_title_is_full_of_blanks() -> None:
    began = time.process_time()
    title = read_markdown(f"---\ntitle: 'a{' ' * 32_000}b'\n---\ntext", "file").title
    assert title == "a b"
    assert time.process_time() - began < SOON_S


@pytest.mark.parametrize(
    ("read", "source"),
    [
        (read_html, "<h1>{}</h1><p>below"),
        (read_markdown, "# {}\n\nbelow"),
        (read_text, "{}\n====\nbelow"),
    ],
)
def test_a_heading_without_end_is_text(read: Callable[[str, str], Page], source: str) -> None:
    """It would stand, and be searched, in every chunk below it."""
    page = read(source.format("word " * 400), "file")
    assert page.title == "file"
    assert [section.trail for section in page.sections] == [()]
    assert sum(len(text) for text in _texts(page)[0]) == len("word " * 400) - 1 + len("below")


def test_a_title_without_end_is_cut() -> None:
    page = read_html(f"<title>{'word ' * 400}</title><p>text", "file")
    assert len(page.title) == HEADING_MAX_CHARS
    assert page.title.endswith("…")


def test_html_ends_when_it_nests_without_end() -> None:
    page = read_html("<div>" * 8_000 + "deep", "file")
    assert _texts(page) == [["deep"]]


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("```toml title='x'\na = 1\n\nb = 2\n```", "```toml\na = 1\n\nb = 2\n```"),
        ("~~~\nplain\n~~~", "```\nplain\n```"),
        ("    indented\n      more\n", "```\nindented\n  more\n```"),
        ("<pre>$ run\n  it</pre>", "```\n$ run\n  it\n```"),
        ("- ```sh\n  a\n\n  b\n  ```", "- ```sh\n  a\n\n  b\n  ```"),
        ("````md\n```sh\nx\n```\n````", "````md\n```sh\nx\n```\n````"),
    ],
)
def test_code_stands_between_fences_with_its_language(source: str, written: str) -> None:
    read = read_html if source.startswith("<") else read_markdown
    assert _texts(read(source, "file")) == [[written]]


def test_code_stays_code_when_html_stands_inside_markdown() -> None:
    page = read_markdown("<div>Run\n<pre>$ run\n  it</pre></div>", "file")
    assert _texts(page) == [["Run", "```\n$ run\n  it\n```"]]


def test_plain_text_becomes_paragraphs_under_underlined_headings() -> None:
    page = read_text("Title\n=====\nfirst\nline\n\nPart\n----\n\n\nsecond\r\n\r\nthird", "file")
    assert page.title == "Title"
    assert [section.trail for section in page.sections] == [("Title",), ("Title", "Part")]
    assert _texts(page) == [["first\nline"], ["second", "third"]]


def test_only_known_names_have_a_reader() -> None:
    assert format_of("a/README.MD") is FORMATS[".md"]
    assert format_of("a/page.htm") is FORMATS[".htm"]
    assert format_of("a/Manual.PDF") is FORMATS[".pdf"]
    assert format_of("a/picture.png") is None
    assert format_of("Makefile") is None
    assert holds_records("a/notes.JSONL")
    assert not holds_records("a/notes.json")


@given(st.text(alphabet="#-*`<>/=|[]()!&; \n\t1.abhlp\x01é検", max_size=300))
def test_any_text_is_some_page(text: str) -> None:
    for reader in (read_markdown, read_html, read_text):
        page = reader(text, "file")
        assert page.title
        for section in page.sections:
            assert section.blocks
            assert all(block.text.strip() and "\x01" not in block.text for block in section.blocks)
