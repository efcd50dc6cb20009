"""`python -m qs.store`: versions, copies, retention; what a person sees, and the exit status."""

import sqlite3
from pathlib import Path

import pytest
import trio

from harness.memory_store import inline
from harness.store_laws import OWNER, SESSION, a_turn
from qs.ingest.index_writer import open_index
from qs.store.__main__ import main
from qs.store.backup import copy_file
from qs.store.database import Database
from qs.store.port import Transcript
from qs.store.sql_store import SqlStore


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "QS_STORE_URL": f"sqlite:///{tmp_path / 'var/store.sqlite3'}",
        "QS_INDEX_PATH": str(tmp_path / "var/index.sqlite3"),
        "QS_SPOOL_DIR": str(tmp_path / "var/spool"),
    }


def store_of(environ: dict[str, str]) -> SqlStore:
    return SqlStore(Database.at(environ["QS_STORE_URL"]), run_blocking=inline, run_stopping=inline)


def put(environ: dict[str, str], *numbers: int) -> None:
    async def all_of_it() -> None:
        store = store_of(environ)
        await store.prepare()
        await store.put([a_turn(number) for number in numbers])
        await store.aclose()

    trio.run(all_of_it)


def read(environ: dict[str, str]) -> list[str]:
    async def all_of_it() -> Transcript | None:
        store = store_of(environ)
        found = await store.read(SESSION, OWNER, 99)
        await store.aclose()
        return found

    transcript = trio.run(all_of_it)
    return [turn.asked.request_id for turn in transcript.turns] if transcript else []


def make_index(environ: dict[str, str]) -> None:
    with open_index(Path(environ["QS_INDEX_PATH"])):
        pass


def run(environ: dict[str, str], *arguments: str, status: int = 0) -> None:
    assert main(arguments, environ) == status


def test_version_is_told_before_and_after_steps(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(environ, "status")
    assert "not made yet" in capsys.readouterr().out
    run(environ, "upgrade")
    run(environ, "status")
    assert capsys.readouterr().out.count("version 0001, newest 0001\n") == 2
    run(environ, "upgrade", "base", status=1)
    assert "version 0001: from there to none is a downgrade" in capsys.readouterr().err
    run(environ, "downgrade", "base")
    assert "version none, newest 0001" in capsys.readouterr().out
    run(environ, "downgrade", "head", status=1)
    assert "version none: from there to 0001 is an upgrade" in capsys.readouterr().err
    run(environ, "downgrade", "0009", status=1)
    assert capsys.readouterr().err == "store: there is no version '0009'\n"


def test_what_is_kept_comes_back_when_a_copy_is_restored_over_what_came_after(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    put(environ, 1, 2)
    make_index(environ)
    waiting = Path(environ["QS_SPOOL_DIR"]) / "abc"
    waiting.mkdir(parents=True)
    (waiting / "1.turn").touch()
    run(environ, "backup", str(copy))
    assert {one.name for one in copy.iterdir()} == {"store.sqlite3", "index.sqlite3"}
    assert copy.stat().st_mode & 0o077 == 0, "others cannot read what people have asked"
    assert "not in it: 1 turns that are still in " in capsys.readouterr().out
    put(environ, 3)
    assert read(environ) == ["r-3", "r-2", "r-1"]
    run(environ, "restore", str(copy))
    assert read(environ) == ["r-2", "r-1"]
    assert "version 0001" in capsys.readouterr().out


def test_copy_is_whole_when_the_store_is_open_and_written_meanwhile(
    environ: dict[str, str], tmp_path: Path
) -> None:
    put(environ, 1)
    path = Path(environ["QS_STORE_URL"].removeprefix("sqlite:///"))
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM sessions")
    run(environ, "backup", str(tmp_path / "copy"))
    writer.execute("COMMIT")
    writer.close()
    run(environ, "restore", str(tmp_path / "copy"))
    assert read(environ) == ["r-1"]


def test_store_that_is_open_shows_what_was_restored_under_it(
    environ: dict[str, str], tmp_path: Path
) -> None:
    put(environ, 1)
    run(environ, "backup", str(tmp_path / "copy"))
    put(environ, 2)

    async def across() -> tuple[int, int]:
        store = store_of(environ)
        before = await store.read(SESSION, OWNER, 9)
        run(environ, "restore", str(tmp_path / "copy"))
        after = await store.read(SESSION, OWNER, 9)
        await store.put([a_turn(5)])
        await store.aclose()
        assert before is not None and after is not None
        return len(before.turns), len(after.turns)

    assert trio.run(across) == (2, 1)
    assert read(environ) == ["r-5", "r-1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["backup", "{copy}"], "there is neither a store nor an index yet"),
        (["backup", "{full}"], "is not empty: a copy is never written over another"),
        (["restore", "{copy}"], "has neither store.sqlite3 nor index.sqlite3"),
        (["purge"], "QS_RETENTION_DAYS is 0, which keeps everything: give --days"),
        (["purge", "--days", "1"], "not made yet"),
        (["upgrade", ""], "there is no version ''"),
    ],
)
def test_one_line_says_why_when_it_cannot_be_done(
    environ: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    places = {"copy": str(tmp_path / "copy"), "full": str(tmp_path / "full")}
    run(environ, *[one.format(**places) for one in arguments], status=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("store: ")
    assert said in line
    assert not (tmp_path / "copy").exists()
    assert not Path(environ["QS_STORE_URL"].removeprefix("sqlite:///")).exists()


def test_copy_of_a_newer_version_or_of_something_else_is_not_restored(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(environ, 1)
    copy = tmp_path / "copy? #1 100%"
    run(environ, "backup", str(copy))
    for statement in ("UPDATE store_version SET version_num = '9999'", "DROP TABLE store_version"):
        connection = sqlite3.connect(copy / "store.sqlite3", isolation_level=None)
        connection.execute(statement)
        connection.close()
        run(environ, "restore", str(copy), status=1)
    (copy / "store.sqlite3").write_bytes(b"nothing of the kind" * 100)
    run(environ, "restore", str(copy), status=1)
    said = capsys.readouterr().err
    assert "a newer version of this program" in said
    assert "not of this program" in said
    assert "not a database" in said
    assert read(environ) == ["r-1"]


def test_sessions_are_purged_by_age(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    put(environ, 1)  # of the year 2027
    run(environ, "purge", "--days", "36500")
    assert read(environ) == ["r-1"]
    path = environ["QS_STORE_URL"].removeprefix("sqlite:///")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE sessions SET used_ms = 1000")
    connection.close()
    run({**environ, "QS_RETENTION_DAYS": "30"}, "purge")
    assert read(environ) == []
    assert "1 conversations, unused for 30 days, are deleted" in capsys.readouterr().out


@pytest.mark.parametrize(
    "url", ["", "mysql://u@h/db", "sqlite://", "mysql+pymysql://u:secret@h", "store.sqlite3"]
)
def test_url_that_is_no_stores_is_a_wrong_setting(
    environ: dict[str, str], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run({**environ, "QS_STORE_URL": url}, "status", status=2)
    said = capsys.readouterr().err
    assert "QS_STORE_URL=" in said
    assert "secret" not in said.replace("(secret)", "")


def test_copy_that_was_cut_off_is_not_put_in_place_of_what_is_there(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(environ, 1)
    make_index(environ)
    for name in ("store.sqlite3", "index.sqlite3"):
        copy = tmp_path / f"copy of {name}"
        copy.mkdir()
        (copy / name).touch()
        before = Path(environ["QS_INDEX_PATH"]).read_bytes()
        run(environ, "restore", str(copy), status=1)
        assert "has nothing in it: it is no whole copy" in capsys.readouterr().err
        assert read(environ) == ["r-1"]
        assert Path(environ["QS_INDEX_PATH"]).read_bytes() == before


def test_copy_is_the_same_when_it_has_been_restored_from(
    environ: dict[str, str], tmp_path: Path
) -> None:
    put(environ, 1)
    copy = tmp_path / "a copy, 100% of it"
    run(environ, "backup", str(copy))
    before = (copy / "store.sqlite3").read_bytes()
    run(environ, "restore", str(copy))
    assert (copy / "store.sqlite3").read_bytes() == before


def test_copy_is_for_its_owner_alone_when_its_folder_is_not(
    environ: dict[str, str], tmp_path: Path
) -> None:
    put(environ, 1)
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o755)
    run(environ, "backup", str(copy))
    assert (copy / "store.sqlite3").stat().st_mode & 0o077 == 0


def test_copy_has_its_name_when_it_is_whole_and_is_of_one_moment_however_much_is_written(
    tmp_path: Path,
) -> None:
    source, target, seen = tmp_path / "source", tmp_path / "target", []
    writer = sqlite3.connect(source, isolation_level=None)
    for statement in ("PRAGMA page_size = 512", "PRAGMA journal_mode = WAL"):
        writer.execute(statement)
    writer.execute("CREATE TABLE turns AS SELECT zeroblob(3000000) AS text")

    def written_meanwhile(left: int, _: int) -> None:
        seen.append(left)
        assert not target.exists()
        assert len(seen) < 50, "it begins again with each write"
        writer.execute("INSERT INTO turns VALUES (?)", (len(seen),))

    copy_file(source, target, written_meanwhile)
    assert len(seen) > 3
    copied = sqlite3.connect(target)
    assert copied.execute("SELECT count(*) FROM turns").fetchone() == (1,)
    copied.close()
    writer.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["source", "target"]
