"""Goal: each line is one document with what is known of it, and a bad line spoils no other.

Method: lines as bytes; then files in a folder, ingested into a real index and asked.
"""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest

from qs.ingest.faults import FileFault
from qs.ingest.files import list_files
from qs.ingest.index_writer import open_index
from qs.ingest.jsonl_reader import LINE_MAX_BYTES, lines_of, read_record
from qs.ingest.pipeline import Summary, ingest


def _line(**told: object) -> bytes:
    return json.dumps(told).encode()


def test_a_line_is_a_document_with_its_metadata_before_its_text() -> None:
    told = {"author": "Ada", "year": 1843, "draft": False, "empty": " "}
    line = _line(
        id=7, title="Notes", url="https://n.example/7", text="# On\n\nIt weaves.",
        format="markdown", metadata=told,
    )  # fmt: skip
    record = read_record(line)
    page = record.page("file")
    assert (record.name, record.url, page.title) == ("7", "https://n.example/7", "Notes")
    (section,) = page.sections
    assert section.trail == ("On",)
    assert [block.text for block in section.blocks] == [
        "author: Ada\nyear: 1843\ndraft: false",
        "It weaves.",
    ]


def test_a_line_without_an_id_is_named_by_its_bytes() -> None:
    one, other = (read_record(_line(text=text)).name for text in ("one", "other"))
    assert one == read_record(_line(text="one") + b"\r\n").name
    assert one != other


BAD: Mapping[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "not JSON"),
    "no UTF-8": (b'{"text": "\xff"}', "not UTF-8"),
    "no object": (b"[1]", "no JSON object"),
    "half a character": (b'{"text": "\\ud800"}', "surrogate"),
    "a key twice": (b'{"text": "a", "text": "b"}', "twice"),
    "an unknown key": (_line(text="a", colour="red"), "unknown key 'colour'"),
    "no text": (_line(title="a"), "no `text`"),
    "blank text": (_line(text=" \n"), "no `text`"),
    "text that is none": (_line(text=7), "`text` must be a string"),
    "a format nobody reads": (_line(text="a", format="docx"), "`format` must be one of"),
    "an id that is none": (_line(text="a", id=True), "`id` must be"),
    "an id too long": (_line(text="a", id="x" * 201), "`id` must be"),
    "an id that cannot be printed": (_line(text="a", id="x\n"), "`id` must be"),
    "a url that is none": (_line(text="a", url="javascript:alert(1)"), "`url` must be"),
    "a url of nowhere": (_line(text="a", url="http://["), "`url` must be"),
    "metadata that is none": (_line(text="a", metadata=[1]), "`metadata` must be"),
    "nested metadata": (_line(text="a", metadata={"b": {"c": 1}}), "`metadata` is flat: 'b'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_line_is_refused_when_it_is(name: str) -> None:
    line, said = BAD[name]
    with pytest.raises(FileFault, match=said):
        read_record(line)


def test_lines_are_numbered_and_blank_ones_passed_over() -> None:
    file = BytesIO(b'\xef\xbb\xbf{"a": 1}\n\n \r\n{"b": 2}\n{"c": 3}')
    assert list(lines_of(file)) == [(1, b'{"a": 1}\n'), (4, b'{"b": 2}\n'), (5, b'{"c": 3}')]


def test_a_line_over_its_cap_is_passed_over_without_being_held() -> None:
    file = BytesIO(b"x" * (2 * LINE_MAX_BYTES + 5) + b"\nnext\n")
    assert list(lines_of(file)) == [(1, None), (2, b"next\n")]


def _ingest(root: Path, index: Path) -> Summary:
    with open_index(index) as writer:
        return ingest(root, None, writer, list_files(root), lambda: None)


def _contents(index: Path) -> list[str]:
    with open_index(index) as writer:
        rows = writer.connection.execute("SELECT content FROM chunks ORDER BY content")
        return [content for (content,) in rows]


def test_lines_that_change_come_and_go_like_files_do(tmp_path: Path) -> None:
    root, index = tmp_path / "docs", tmp_path / "index.sqlite3"
    root.mkdir()
    file = root / "notes.jsonl"
    file.write_bytes(b"\n".join(_line(id=n, text=f"text {n}") for n in range(4)))
    assert _ingest(root, index).new == 4
    lines = [_line(id=0, text="text 0"), _line(id=1, text="else"), _line(id=3, text="text 3")]
    file.write_bytes(b"\n".join(lines))
    summary = _ingest(root, index)
    assert (summary.new, summary.changed, summary.unchanged, summary.removed) == (0, 1, 2, 1)
    assert _contents(index) == ["else", "text 0", "text 3"]


def test_what_a_broken_line_may_have_been_stays(tmp_path: Path) -> None:
    root, index = tmp_path / "docs", tmp_path / "index.sqlite3"
    root.mkdir()
    file = root / "notes.jsonl"
    file.write_bytes(b"\n".join(_line(id=n, text=f"text {n}") for n in range(3)))
    _ingest(root, index)
    file.write_bytes(_line(id=0, text="new") + b'\n{"id": 1, "te\n' + _line(id=0, text="again"))
    summary = _ingest(root, index)
    assert [(skipped.path, skipped.reason.partition(":")[0]) for skipped in summary.skipped] == [
        ("notes.jsonl, line 2", "$"),
        ("notes.jsonl#0", "its id stands twice in the file"),
    ]
    assert _contents(index) == ["new", "text 1", "text 2"]
