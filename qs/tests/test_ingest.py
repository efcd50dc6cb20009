"""Goal: after an ingest the index holds what the root holds, whatever stood in the way.

Method: real folders and index files; the command is called as a function, with its own output
read back. A kill is an exception from the progress hook, in the middle of a batch.
"""

import contextlib
import io
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from qs.ingest.__main__ import INTERRUPTED, KINDS, main
from qs.ingest.faults import FileFault
from qs.ingest.files import Found, Ignored, Skipped, list_files, open_unchanging
from qs.ingest.index_writer import open_index
from qs.ingest.pipeline import BATCH_DOCUMENTS, Summary, ingest
from qs.ingest.port import IndexFault
from qs.retrieval.port import Hit
from qs.retrieval.sqlite_index import SqliteIndex


def _write(root: Path, **pages: str) -> Path:
    root.mkdir(exist_ok=True)
    for name, text in pages.items():
        (root / f"{name}.md").write_text(text, encoding="utf-8")
    return root.resolve()


def _ingest(root: Path, index: Path, on_file: Callable[[], None] = lambda: None) -> Summary:
    with open_index(index) as writer:
        return ingest(root, None, writer, list_files(root), on_file)


def _counts(summary: Summary) -> tuple[int, int, int, int]:
    return summary.new, summary.changed, summary.unchanged, summary.removed


def _ids(index: Path) -> dict[str, str]:
    with contextlib.closing(sqlite3.connect(index)) as connection:
        rows = connection.execute("SELECT content, chunk_id FROM chunks").fetchall()
        (searched,) = connection.execute("SELECT count(*) FROM chunks_fts").fetchone()
    assert searched == len(rows)
    return dict(rows)


def _search(index: Path, question: str) -> list[Hit]:
    async def search() -> list[Hit]:
        retriever = SqliteIndex(index)
        try:
            return list(await retriever.search(question, 5))
        finally:
            await retriever.aclose()

    return trio.run(search)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return _write(
        tmp_path / "docs", a="# Apples\n\nRed ones.", b="# Pears\n\nGreen.", c="# Nuts\n\nBrown."
    )


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "made" / "index.sqlite3"


def test_a_second_ingest_changes_nothing_when_nothing_changed(root: Path, index: Path) -> None:
    assert _counts(_ingest(root, index)) == (3, 0, 0, 0)
    ids = _ids(index)
    assert _counts(_ingest(root, index)) == (0, 0, 3, 0)
    assert _ids(index) == ids


def test_an_ingest_replaces_what_changed_and_removes_what_is_gone(root: Path, index: Path) -> None:
    _ingest(root, index)
    before = _ids(index)
    _write(root, a="# Apples\n\nBlue ones.", d="# Figs\n\nViolet.")
    (root / "c.md").unlink()
    assert _counts(_ingest(root, index)) == (1, 1, 1, 1)
    after = _ids(index)
    assert set(after) == {"Blue ones.", "Green.", "Violet."}
    assert after["Green."] == before["Green."]
    assert [hit.content for hit in _search(index, "apples")] == ["Blue ones."]
    assert _search(index, "nuts") == []


def test_other_roots_stay_when_a_root_is_ingested_again(
    root: Path, index: Path, tmp_path: Path
) -> None:
    other = _write(tmp_path / "other", a="# Apples\n\nOf the other root.")
    _ingest(root, index)
    _ingest(other, index)
    (root / "a.md").unlink()
    assert _ingest(root, index).removed == 1
    assert set(_ids(index)) == {"Of the other root.", "Green.", "Brown."}


def test_ids_are_the_same_when_the_folder_is_elsewhere(
    root: Path, index: Path, tmp_path: Path
) -> None:
    _ingest(root, index)
    copy = tmp_path / "copy.sqlite3"
    _ingest(root.rename(tmp_path / "moved"), copy)
    assert _ids(copy) == _ids(index)


def test_the_last_good_copy_stays_when_a_file_is_half_written(root: Path, index: Path) -> None:
    _ingest(root, index)
    (root / "a.md").write_bytes("# Äpfel\n\nGrüne".encode()[:-3])
    (root / "b.md").write_bytes(b"")
    summary = _ingest(root, index)
    assert _counts(summary) == (0, 0, 1, 0)
    assert [(skipped.path, skipped.reason) for skipped in summary.skipped] == [
        ("a.md", "it is not UTF-8 (byte 12)"),
        ("b.md", "it is empty"),
    ]
    assert set(_ids(index)) == {"Red ones.", "Green.", "Brown."}
    _write(root, a="# Apples\n\nWhole again.")
    assert _ingest(root, index).changed == 1


def test_the_last_good_copy_stays_when_a_file_or_folder_cannot_be_read(
    root: Path, index: Path
) -> None:
    _write(root / "below", d="# Figs\n\nViolet.")
    _ingest(root, index)
    with (root / "a.md").open("wb") as huge:
        huge.truncate(50 * 1024 * 1024)
    (root / "below" / "d.md").unlink()
    (root / "below").rmdir()
    (root / "below").symlink_to(root, target_is_directory=True)
    summary = _ingest(root, index)
    assert (summary.removed, summary.skipped_count) == (0, 2)
    assert set(_ids(index)) == {"Red ones.", "Green.", "Brown.", "Violet."}


def test_what_is_gone_is_removed_when_something_else_cannot_be_read(
    root: Path, index: Path
) -> None:
    _write(root / "below", d="# Figs\n\nViolet.")
    _ingest(root, index)
    (root / "a.md").write_bytes(b"\xff")
    (root / "below").rename(root / "a.md-more")
    (root / "c.md").unlink()
    assert _counts(_ingest(root, index)) == (1, 0, 1, 2)
    assert set(_ids(index)) == {"Red ones.", "Green.", "Violet."}


def test_everything_stays_when_the_root_itself_cannot_be_read(root: Path, index: Path) -> None:
    _ingest(root, index)
    before = _ids(index)
    root.rename(root.parent / "unmounted")
    summary = _ingest(root, index)
    assert [(one.path, one.reason) for one in summary.skipped] == [
        (".", "no such file or directory")
    ]
    assert summary.removed == 0
    assert _ids(index) == before


def test_a_file_that_changes_while_it_is_read_is_refused(root: Path) -> None:
    path = root / "a.md"
    with pytest.raises(FileFault, match="changed while it was read"), open_unchanging(path, None):
        path.write_text("Something else.")


def test_a_file_whose_lines_change_while_they_are_read_keeps_what_it_had(
    tmp_path: Path, index: Path
) -> None:
    root = tmp_path / "lines"
    root.mkdir()
    file = root / "many.jsonl"
    lines = [json.dumps({"id": n, "text": f"text {n}"}) for n in range(3 * BATCH_DOCUMENTS)]
    file.write_text("\n".join(lines), "utf-8")
    _ingest(root, index)
    file.write_text("\n".join(lines[: 2 * BATCH_DOCUMENTS]), "utf-8")

    def touched() -> None:
        with file.open("a", encoding="utf-8") as more:
            more.write(" ")

    summary = _ingest(root, index, touched)
    assert [skipped.reason for skipped in summary.skipped] == ["it changed while it was read"]
    assert summary.removed == 0
    assert len(_ids(index)) == len(lines)
    assert _ingest(root, index).removed == BATCH_DOCUMENTS


def test_what_cannot_be_read_is_named_and_the_rest_is_ingested(root: Path, index: Path) -> None:
    (root / "binary.txt").write_bytes(b"ab\0cd")
    (root / "latin.html").write_bytes("<p>Größe".encode("latin-1"))
    (root / "blank.txt").write_text(" \n\n ")
    (root / "hollow.html").write_text("<nav>only a menu</nav>")
    with (root / "huge.md").open("wb") as huge:
        huge.truncate(50 * 1024 * 1024)
    os.mkfifo(root / "pipe.txt")
    (root / "dangling.md").symlink_to(root.parent / "nowhere.md")
    (root / "loop.md").symlink_to("loop.md")
    (root / "up").symlink_to(root.parent, target_is_directory=True)
    (root / "picture.png").write_bytes(b"\x89PNG")
    (root / ".hidden.md").write_text("unseen")
    summary = _ingest(root, index)
    assert {skipped.path: skipped.reason for skipped in summary.skipped} == {
        "binary.txt": "it is binary, not text",
        "latin.html": "it is not UTF-8 (byte 5)",
        "blank.txt": "it is empty",
        "hollow.html": "it has no text to index",
        "huge.md": "it is over 20 MB",
        "pipe.txt": "it is not a regular file",
        "dangling.md": "no such file or directory",
        "loop.md": "too many levels of symbolic links",
        "up": "it links to a folder that is read already, or above it",
    }
    assert (summary.new, summary.ignored) == (3, 1)


def test_links_are_followed_out_of_the_root_only_and_once(root: Path, tmp_path: Path) -> None:
    outside = _write(tmp_path / "outside", x="# X\n\nOutside.")
    (outside / "again").symlink_to(outside, target_is_directory=True)
    (root / "twin.md").symlink_to("a.md")
    (root / "one").symlink_to(outside, target_is_directory=True)
    (root / "two").symlink_to(outside, target_is_directory=True)
    (root / "x.md").symlink_to(outside / "x.md")
    listed = list(list_files(root))
    found = [item.path for item in listed if isinstance(item, Found)]
    assert found == ["a.md", "b.md", "c.md", "x.md", "one/x.md"]
    assert [item.path for item in listed if isinstance(item, Skipped)] == ["two", "one/again"]
    assert [item.path for item in listed if isinstance(item, Ignored)] == ["twin.md"]


def test_what_a_link_leads_to_is_read_once_when_it_was_on_the_way(
    root: Path, tmp_path: Path
) -> None:
    outside = _write(tmp_path / "outside" / "", x="# X\n\nOutside.")
    _write(outside / "inner", y="# Y\n\nInside it.")
    (outside / "inner" / "again").symlink_to(outside / "inner", target_is_directory=True)
    (root / "one").symlink_to(outside, target_is_directory=True)
    found = [item.path for item in list_files(root) if isinstance(item, Found)]
    assert found == ["a.md", "b.md", "c.md", "one/x.md", "one/inner/y.md"]


def test_every_batch_before_a_kill_stays_and_the_next_ingest_completes(
    tmp_path: Path, index: Path
) -> None:
    pages = {f"p{n}": f"# Page\n\nText {n}." for n in range(BATCH_DOCUMENTS * 2)}
    root = _write(tmp_path / "many", **pages)
    seen = 0

    def killed() -> None:
        nonlocal seen
        seen += 1
        if seen == BATCH_DOCUMENTS + 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _ingest(root, index, killed)
    assert len(_ids(index)) == BATCH_DOCUMENTS
    assert _counts(_ingest(root, index)) == (BATCH_DOCUMENTS, 0, BATCH_DOCUMENTS, 0)
    assert set(_ids(index)) == {f"Text {n}." for n in range(BATCH_DOCUMENTS * 2)}


def test_nothing_of_a_batch_is_written_when_the_disk_is_full(root: Path, index: Path) -> None:
    _ingest(root, index)
    before = _ids(index)
    _write(root, a="# Apples\n\n" + "A longer sentence. " * 20_000)
    with pytest.raises(IndexFault, match="the disk is full"), open_index(index) as writer:
        writer.connection.execute("PRAGMA max_page_count = 20")
        ingest(root, None, writer, list_files(root), lambda: None)
    assert _ids(index) == before


def test_the_command_reports_and_links_when_it_has_a_base_url(
    root: Path, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "bad.txt").write_bytes(b"\xff")
    (root / "other.bin").write_bytes(b"")
    asked = [str(root), "--index", str(index), "--base-url", "https://docs.example/"]
    assert main(asked, {}) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"4 files in {root}\n")
    assert "3 new, 0 changed, 0 unchanged, 0 removed, 1 skipped, 1 of other kinds" in told.out
    assert f"chunks: 3 written, 3 in {index}" in told.out
    assert told.err == "skipped bad.txt: it is not UTF-8 (byte 0)\n"
    (hit,) = _search(index, "apples")
    assert hit.url == "https://docs.example/a.md#apples"
    assert main([str(root)], {"QS_INDEX_PATH": str(index)}) == 0
    assert "0 new, 3 changed" in capsys.readouterr().out


def test_the_command_empties_the_root_when_its_folder_is_empty(
    root: Path, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(root)], {"QS_INDEX_PATH": str(index)}) == 0
    for page in root.iterdir():
        page.unlink()
    assert main([str(root)], {"QS_INDEX_PATH": str(index)}) == 0
    assert "3 removed" in capsys.readouterr().out
    assert main([str(root)], {"QS_INDEX_PATH": str(index)}) == 1


def _no_folder(root: Path, index: Path) -> None:
    root.rename(root.parent / "gone")


def _a_file(root: Path, index: Path) -> None:
    root.rename(root.parent / "gone")
    root.touch()


def _nothing(root: Path, index: Path) -> None:
    for page in root.iterdir():
        page.unlink()


def _unusable(root: Path, index: Path) -> None:
    for page in root.iterdir():
        page.write_bytes(b"")


def _not_an_index(root: Path, index: Path) -> None:
    index.parent.mkdir()
    index.write_bytes(b"precious " * 200)


def _other_version(root: Path, index: Path) -> None:
    with open_index(index) as writer:
        writer.connection.execute("PRAGMA user_version = 99")


def _damaged(root: Path, index: Path) -> None:
    _ingest(root, index)
    content = index.read_bytes()
    index.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def _another_database(root: Path, index: Path) -> None:
    index.parent.mkdir()
    with contextlib.closing(sqlite3.connect(index)) as other:
        other.execute("CREATE TABLE precious (thing TEXT)")


def _no_place(root: Path, index: Path) -> None:
    index.parent.touch()


def _a_folder_as_index(root: Path, index: Path) -> None:
    index.mkdir(parents=True)


REFUSED: tuple[tuple[Callable[[Path, Path], None], str], ...] = (
    (_no_folder, "no such folder"),
    (_a_file, "not a folder"),
    (_nothing, "nothing to ingest"),
    (_unusable, "none of the documents"),
    (_not_an_index, "not an index of this program"),
    (_another_database, "not an index of this program"),
    (_other_version, "index format 99"),
    (_damaged, "damaged"),
    (_no_place, "file exists"),
    (_a_folder_as_index, "cannot be opened"),
)


@pytest.mark.parametrize(("spoil", "said"), REFUSED)
def test_the_command_says_why_in_one_line_when_it_can_do_nothing(
    root: Path,
    index: Path,
    spoil: Callable[[Path, Path], None],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(root, index)
    assert main([str(root), "--index", str(index)], {}) == 1
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert complaint.startswith("ingest: ")
    assert said in complaint


def test_the_command_says_one_line_when_the_folder_is_empty(
    root: Path, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _nothing(root, index)
    assert main([str(root)], {"QS_INDEX_PATH": str(index)}) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"ingest: nothing to ingest: no {KINDS} in {root}\n"


@pytest.mark.parametrize("spoil", [_not_an_index, _another_database])
def test_a_file_that_is_no_index_is_left_alone(
    root: Path, index: Path, spoil: Callable[[Path, Path], None]
) -> None:
    spoil(root, index)
    before = index.read_bytes()
    assert main([str(root), "--index", str(index)], {}) == 1
    assert index.read_bytes() == before


def test_the_command_refuses_a_folder_whose_name_is_no_text(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / os.fsdecode(b"\xff")
    root.mkdir()
    (root / "a.md").write_text("text")
    assert main([str(root), "--index", str(index)], {}) == 1
    assert "name is not printable" in capsys.readouterr().err


def test_the_command_refuses_a_base_url_that_is_none(root: Path) -> None:
    with pytest.raises(SystemExit) as left:
        main([str(root), "--base-url", "javascript:alert(1)"], {})
    assert left.value.code == 2


class _Interrupting(io.StringIO):
    def write(self, _text: str) -> int:
        raise KeyboardInterrupt


def test_the_command_ends_with_130_when_it_is_interrupted(
    root: Path, index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.redirect_stdout(_Interrupting()):
        assert main([str(root)], {"QS_INDEX_PATH": str(index)}) == INTERRUPTED
    assert capsys.readouterr().err.startswith("ingest: interrupted")
