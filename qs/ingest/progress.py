"""How far an ingest is: a bar on a terminal, a line now and then elsewhere.

Both go by bytes, the one measure that a large file and many small ones share, and tell documents
for each second and how long the rest will take at that rate.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from qs.ingest.pipeline import Summary

LINE_EVERY_S: Final = 10.0
_SHOWN_EVERY_S: Final = 0.1


@contextmanager
def shown(
    summary: Summary,
    total_bytes: int,
    console: Console,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[], None]]:
    """What to call after each document while this is open."""
    if console.is_terminal:
        with _bar(total_bytes, console) as show:
            yield _paced(summary, show, _SHOWN_EVERY_S, now)
    else:
        began = now()

        def line() -> None:
            told = _line(summary, total_bytes, now() - began)
            console.print(told, markup=False, highlight=False, soft_wrap=True)

        yield _paced(summary, lambda _done, _text: line(), LINE_EVERY_S, now)


@contextmanager
def _bar(total_bytes: int, console: Console) -> Iterator[Callable[[int, str], None]]:
    columns = (
        TextColumn("ingesting"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total_bytes)
        yield lambda done, text: bar.update(task, completed=done, description=text)


def _paced(
    summary: Summary,
    show: Callable[[int, str], None],
    every_s: float,
    now: Callable[[], float],
) -> Callable[[], None]:
    """Calls `show` no more often than that; the first time after as long."""
    began = last = now()

    def tick() -> None:
        nonlocal last
        at = now()
        if at - last >= every_s:
            last = at
            show(summary.bytes_read, f"{_documents(summary)} {_rate(summary, at - began)}")

    return tick


def _documents(summary: Summary) -> str:
    return f"{summary.indexed:,} documents"


def _rate(summary: Summary, seconds: float) -> str:
    """What was read for each second, unchanged documents included."""
    documents = summary.indexed / max(seconds, 0.001)
    return f"{documents:,.0f}/s {decimal(int(summary.bytes_read / max(seconds, 0.001)))}/s"


def _line(summary: Summary, total_bytes: int, seconds: float) -> str:
    share = min(1.0, summary.bytes_read / total_bytes) if total_bytes else 1.0
    left = f", about {seconds * (1 - share) / share:,.0f} s left" if share else ""
    return f"{share:.0%}: {_documents(summary)}, {_rate(summary, seconds)}{left}"
