"""What of a program's output is worth the terminal: warnings, errors, and what is no log line.

Pure. The whole output is in the log file; the terminal shows a line only when somebody should act.
"""

import json

QUIET_LEVELS = frozenset({"trace", "debug", "info", "notice"})
UNSHOWN = frozenset({"ts", "level", "service", "event", "trace_id"})
SHOWN_CHARS_MAX = 300


def terminal_line(name: str, raw: bytes) -> str | None:
    """One line for the terminal, or None for one that only belongs in the file.

    A line that is not a JSON object (a traceback, a library's own words) is shown as it is: nobody
    planned it, so somebody should see it.
    """
    text = raw.decode("utf-8", "replace").rstrip()
    if not text:
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        return _cut(f"{name}: {text}")
    level = str(record.get("level", "info")).lower()
    if level in QUIET_LEVELS:
        return None
    told = ((key, value) for key, value in record.items() if value is not None)
    rest = (f"{key}={value}" for key, value in told if key not in UNSHOWN)
    return _cut(" ".join([f"{name}: {level}: {record.get('event', '')}", *rest]))


def _cut(line: str) -> str:
    return line if len(line) <= SHOWN_CHARS_MAX else line[: SHOWN_CHARS_MAX - 1] + "…"
