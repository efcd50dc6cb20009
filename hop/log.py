"""One JSON line per event, the same keys in every service (CONTRACT §8).

`ts, level, service, event, trace_id, request_id` stand on every line; the ids come from the task's
context, into which the request binds them once. The text of questions, chunks and answers is
never logged unless `LOG_CONTENT=true`: only `content` takes such text. Lines are ASCII, so that
they can be written whatever the encoding of the output. A line that cannot be written (a full
disk, a closed pipe) is lost: a call never fails because it could not be logged.
"""

import logging
from collections.abc import MutableMapping
from contextlib import suppress
from typing import TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, WrappedLogger

__all__ = ["FromLibraries", "Log", "bind_call", "make_log"]

Log = FilteringBoundLogger
_FIRST = ("ts", "level", "service", "event", "trace_id", "request_id")
Line = MutableMapping[str, object]


def make_log(service: str, level: str, out: TextIO) -> Log:
    """A log for one program. `level` is debug, info, warning or error."""
    return cast(
        Log,
        structlog.wrap_logger(
            _Lines(out),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
                structlog.processors.format_exc_info,
                _in_order,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(
                logging.getLevelNamesMapping()[level.upper()]
            ),
            service=service,
        ),
    )


def bind_call(request_id: str, trace_id: str) -> None:
    """Put the ids on every line that this task, and those it starts, write from here on."""
    structlog.contextvars.bind_contextvars(request_id=request_id, trace_id=trace_id)


class FromLibraries(logging.Handler):
    """What libraries log by the standard way (trio, when it runs out of descriptors), as lines."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One line, without the traceback: libraries say in the message what is wrong."""
        self._log.warning("a library says", logger=record.name, detail=record.getMessage())


class _Lines:
    """Writes lines, and loses those that cannot be written. Every level writes alike."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):  # ValueError: the file is closed
            self._out.write(line + "\n")
            self._out.flush()

    debug = info = warning = error = exception = critical = msg


def _in_order(_: WrappedLogger, __: str, line: Line) -> Line:
    """The keys every line has, first and always; null where there is no call."""
    return {key: line.get(key) for key in _FIRST} | dict(line)
