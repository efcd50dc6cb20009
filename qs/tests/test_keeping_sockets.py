"""What programs do about what they keep: refuse or go on without at their start, stop when told."""

import os
import socket
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa
import trio

from hop.lifetime import Drain
from hop.log import make_log
from hop.metrics import Metrics
from hop.program import Program
from hop.run import run
from hop.settings import load
from qs.app import open_app
from qs.config import QueryServiceSettings
from qs.store.database import Database, _Dbapi
from qs.store.keeping import open_keeping
from qs.store.migrate import version_of
from qs.store.port import StoreFault
from qs.store.sql_store import SqlStore

# Minutes of it, unless it is interrupted.
LONG: Final = sa.text(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000)"
    " SELECT count(*) FROM n"
)
GRACE_S: Final = 120.0  # for busy machines: it starts a program


def test_program_says_why_and_ends_when_its_store_is_not_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "store.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE letters (a)")
    connection.close()
    environ = {
        "QS_PORT": "0",
        "QS_STORE_URL": f"sqlite:///{path}",
        "QS_SPOOL_DIR": str(tmp_path / "spool"),
        "QS_INDEX_PATH": str(tmp_path / "index.sqlite3"),
    }
    assert run(QueryServiceSettings, open_app, environ, []) == 1
    said = capsys.readouterr()
    assert said.err == f"qs: store {path} has tables that are not of this program: letters\n"
    assert "serving" not in said.out


@pytest.mark.parametrize("own", [True, False])
async def test_store_that_is_down_is_told_where_it_belongs_and_stops_no_start(
    tmp_path: Path, own: bool
) -> None:
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path}/file/x" if own else "mysql+pymysql://u:secret@127.0.0.1:1/chats"
    environ = {"QS_STORE_URL": url, "QS_SPOOL_DIR": str(tmp_path / "spool")}
    settings, _ = load(QueryServiceSettings, environ)
    with (tmp_path / "log").open("w") as out:
        log = make_log("qs", "info", out)
        program = Program(settings, log, Metrics("qs"), Drain(), lambda digits: "0" * digits)
        async with open_keeping(program, settings) as keeping:
            checks = keeping.own if own else keeping.neighbours
            ok, detail = await checks["store"]()
            assert not ok
            assert "secret" not in detail
            assert ("store" in keeping.own, "store" in keeping.neighbours) == (own, not own)
            assert await keeping.neighbours["spool"]() == (True, "0 turns waiting")
    logged = await trio.Path(tmp_path / "log").read_text()
    assert logged.count("store down") == 1
    assert "secret" not in logged


@pytest.mark.parametrize(
    "said", [b"\0" * 64, b"\5\0\0\0\nabcd", b"\0\0\0\0", b"\1\0\0\0\xff", b"SSH-2.0-x\r\n", b""]
)
def test_store_is_down_and_nothing_worse_when_what_answers_is_no_database(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(said)

        answered = threads.submit(answer)
        port = listener.getsockname()[1]
        with pytest.raises(StoreFault, match=f"store chats at 127.0.0.1:{port}: ") as caught:
            version_of(Database.at(f"mysql+pymysql://u:secret@127.0.0.1:{port}/chats"))
        answered.result()
    assert "secret" not in str(caught.value)


async def test_statement_is_ended_when_its_asker_left_just_before_it_began(tmp_path: Path) -> None:
    between, stopped, ended = threading.Event(), threading.Event(), threading.Event()

    class Told(Database):
        def stop(self, dbapi: _Dbapi) -> None:
            super().stop(dbapi)
            stopped.set()

    def work(connection: sa.Connection) -> None:
        between.set()
        assert stopped.wait(GRACE_S)
        try:
            connection.execute(LONG)
        except sa.exc.OperationalError:
            ended.set()
            raise

    store = SqlStore(Told.at(f"sqlite:///{tmp_path}/store.sqlite3"), timeout_s=GRACE_S)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store._ask, work)
        await trio.to_thread.run_sync(between.wait)
        nursery.cancel_scope.cancel()
    assert await trio.to_thread.run_sync(ended.wait, 20)
    await store.aclose()


async def test_restoring_ends_with_all_that_it_started_when_it_is_terminated(
    tmp_path: Path,
) -> None:
    tool, pid = tmp_path / "mariadb", tmp_path / "pid"
    tool.write_text(f"#!/bin/sh\necho $$ > {pid}.part\nmv {pid}.part {pid}\nexec sleep 60\n")
    tool.chmod(0o700)
    (tmp_path / "store.sql").touch()
    environ = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "QS_STORE_URL": "mysql+pymysql://u:secret@127.0.0.1:1/chats",
        "QS_INDEX_PATH": str(tmp_path / "index.sqlite3"),
        "PYTHONPATH": str(Path.cwd()),
    }
    said = (tmp_path / "said").open("wb")
    restoring = await trio.lowlevel.open_process(
        [sys.executable, "-m", "qs.store", "restore", str(tmp_path)],
        env=environ,
        stderr=said,
    )
    with trio.fail_after(GRACE_S):
        while not pid.exists():  # noqa: ASYNC110 - it is another program's
            await trio.sleep(0.05)
        restoring.terminate()
        assert await restoring.wait() == 130
        with suppress(ProcessLookupError):
            while True:
                os.kill(int(pid.read_text()), 0)
                await trio.sleep(0.05)
    said.close()
    assert (tmp_path / "said").read_bytes() == b"store: interrupted\n"
