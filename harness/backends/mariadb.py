"""A real MariaDB of one's own: a folder, a private port on the loopback, and everything one can do.

    with open_mariadb(folder) as server:
        server.url("name")              of a new, empty database of this name
        server.kill(); server.start()   SIGKILL, and up again on the same port and data
        server.freeze(); server.thaw()  SIGSTOP: connections stay and nobody answers

It needs the system's own package `mariadb-server`; `make test-backends` installs it. Nothing of
the system's own server, if there is one, is read or touched.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pymysql  # type: ignore[import-untyped]  # it ships no types
from attrs import define, field

from harness.stack import free_ports

READY_S: Final = 60.0
_LOOK_S: Final = 0.05
_STOP_S: Final = 20.0
USER: Final = "chats"
# Passwords may hold anything: a url has to carry these.
PASSWORD: Final = "p@ss/w:rd%"
PASSWORD_IN_URL: Final = "p%40ss%2Fw%3Ard%25"


class NoServer(Exception):
    """MariaDB is not installed, or does not come up; the message says what to do."""


@define
class MariaDb:
    """One server."""

    folder: Path
    port: int
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def url(self, name: str) -> str:
        """The settings' url of a new database; one of this name is dropped first."""
        self.run(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} CHARACTER SET latin1")
        self.run(f"GRANT ALL ON {name}.* TO '{USER}'@'127.0.0.1'")
        return f"mysql+pymysql://{USER}:{PASSWORD_IN_URL}@127.0.0.1:{self.port}/{name}"

    def run(self, *statements: str) -> list[tuple[object, ...]]:
        """Run these as the server's owner; the rows of the last."""
        connection = pymysql.connect(
            unix_socket=str(self._socket), user=_owner(), autocommit=True, read_timeout=10
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def running(self) -> list[str]:
        """The statements that the server is working on for the users of our databases."""
        rows = self.run("SELECT user, command, info FROM information_schema.processlist")
        return [str(info) for user, command, info in rows if (user, command) == (USER, "Query")]

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._socket.unlink(missing_ok=True)  # the driver leaks what nobody answers
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the system's own server
                [
                    _program("mariadbd"),
                    "--no-defaults",
                    f"--datadir={self.folder / 'data'}",
                    f"--socket={self._socket}",
                    f"--pid-file={self.folder / 'pid'}",
                    f"--user={_owner()}",
                    "--bind-address=127.0.0.1",
                    f"--port={self.port}",
                    "--skip-log-bin",
                    "--innodb-buffer-pool-size=32M",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + READY_S
        while time.monotonic() < until and self._process.poll() is None:
            if self._socket.exists():
                self.run("SELECT 1")
                return
            time.sleep(_LOOK_S)
        raise NoServer(f"mariadbd does not answer: see {self.folder / 'server.log'}")

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(_STOP_S)

    def freeze(self) -> None:
        """Take the processor from it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Shut it down, whatever state it is in."""
        if self._process is None or self._process.poll() is not None:
            return
        self.thaw()
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def _socket(self) -> Path:
        return self.folder / "s"


@contextmanager
def open_mariadb(folder: Path) -> Iterator[MariaDb]:
    """A server on a data folder made anew. Raises NoServer."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _install_tables(folder / "data")
    server = MariaDb(folder, free_ports(("mariadb",))["mariadb"])
    try:
        server.start()
        server.run(f"CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        yield server
    finally:
        server.stop()


def _install_tables(data: Path) -> None:
    done = subprocess.run(  # noqa: S603 - the system's own tool
        [
            _program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={data}",
            f"--user={_owner()}",
            "--auth-root-authentication-method=socket",
            f"--auth-root-socket-user={_owner()}",
            "--skip-test-db",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NoServer(f"mariadb-install-db failed: {done.stdout}{done.stderr}")


def _owner() -> str:
    """Who runs it: this user, who may be root."""
    return pwd.getpwuid(os.geteuid()).pw_name


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NoServer(
            f"{name} is not installed: run make test-backends, or install mariadb-server"
        )
    return found
