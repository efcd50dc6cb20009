"""Which lines of a program's output reach the terminal."""

import pytest

from scripts.loglines import SHOWN_CHARS_MAX, terminal_line


@pytest.mark.parametrize(
    "raw",
    [b"", b"  \n", b'{"level": "info", "event": "request"}', b'{"event": "no level"}'],
)
def test_quiet_lines_stay_in_the_file(raw: bytes) -> None:
    assert terminal_line("qs", raw) is None


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (
            b'{"ts": 1, "level": "error", "service": "qs", "event": "store", "cause": "full"}',
            "qs: error: store cause=full",
        ),
        (
            b'{"level": "warning", "event": "setting", "request_id": null, "retried": false}',
            "qs: warning: setting retried=False",
        ),
        (b"Traceback (most recent call last):", "qs: Traceback (most recent call last):"),
        (b"[1, 2]", "qs: [1, 2]"),
        (b"\xff\xfe", "qs: \ufffd\ufffd"),
    ],
    ids=["error", "outside a call", "traceback", "json but no object", "noise"],
)
def test_lines_that_ask_for_somebody_are_shown(raw: bytes, line: str) -> None:
    assert terminal_line("qs", raw) == line


def test_long_line_is_cut() -> None:
    line = terminal_line("qs", b"x" * 10_000)
    assert line is not None
    assert len(line) == SHOWN_CHARS_MAX
