"""Goal: whoever waits for an ingest sees how far it is, how fast, and how long it will take.

Method: a summary that grows, a clock of our own, and a console that writes into memory.
"""

import io

from rich.console import Console

from qs.ingest.pipeline import Summary
from qs.ingest.progress import LINE_EVERY_S, shown


def _told(*, terminal: bool) -> str:
    summary, at, written = Summary(), 0.0, io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=100)
    with shown(summary, 4_000_000, console, lambda: at) as tick:
        tick()
        summary.new, summary.bytes_read, at = 500, 1_000_000, LINE_EVERY_S
        tick()
        tick()
    return written.getvalue()


def test_a_log_gets_a_line_now_and_then() -> None:
    assert _told(terminal=False) == ("25%: 500 documents, 50/s 100.0 kB/s, about 30 s left\n")


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    told = _told(terminal=True)
    assert "500 documents 50/s 100.0 kB/s" in told
    assert "25%" in told
    assert told.endswith("\x1b[2K") or "\x1b[1A" in told
