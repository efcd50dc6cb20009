"""The fake as a process of its own, for clients that know nothing of it."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The server runs in the project's environment, the clients in theirs.
PROGRAM = (str(ROOT / ".venv/bin/python"), "-m", "fakes.openai_compat_server", "serve")
QUICK = ("--port", "0", "--latency", "ttft=1ms,itl=0ms")

Start = Callable[..., str]


@contextmanager
def _serving(*arguments: str) -> Iterator[str]:
    """The base URL of a server that runs meanwhile."""
    command = [*PROGRAM, *QUICK, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603 - our own program
        assert process.stdout is not None
        try:
            banner = iter(process.stdout.readline, "")
            base = next(word for line in banner for word in line.split() if "http://" in word)
            # Its log of requests must go somewhere, or it would wait for us to read it.
            Thread(target=process.stdout.read, daemon=True).start()
            yield base
        finally:
            process.terminate()
            assert process.wait(timeout=5) == 0


@pytest.fixture(scope="session")
def base() -> Iterator[str]:
    """The `/v1` address of a server with the usual persona."""
    with _serving() as url:
        yield url


@pytest.fixture(scope="session")
def in_dialect() -> Iterator[Callable[[str], str]]:
    """The base URL of a server that speaks the dialect; each is started once."""
    with ExitStack() as running:
        yield cache(lambda name: running.enter_context(_serving("--dialect", name)))


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts further servers with arguments of their own; each ends with the test."""
    with ExitStack() as running:
        yield lambda *arguments: running.enter_context(_serving(*arguments))


@pytest.fixture
def twice_429(tmp_path: Path, start: Start) -> str:
    """A server that refuses the first two calls, says when to come again, and takes the third."""
    script = tmp_path / "twice.toml"
    limited = "status-429-retry-after?for=1s"
    script.write_text(f'[[rule]]\nplay = ["{limited}", "{limited}", "ok"]\n')
    return start("--script", str(script), "--admin")
