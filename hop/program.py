"""What lives as long as a program, handed to whatever needs it; nothing here is global."""

from collections.abc import Callable

import trio
from attrs import frozen

from hop.lifetime import Drain
from hop.log import Log
from hop.metrics import Metrics
from hop.settings import HopSettings
from hop.spans import Spans
from hop.tracing import NewHex

Clock = Callable[[], float]


@frozen
class Program:
    """One running program: its settings, its log, its figures, its drain, its randomness."""

    settings: HopSettings
    log: Log
    metrics: Metrics
    drain: Drain
    new_hex: NewHex
    now: Clock = trio.current_time
    spans: Spans | None = None  # None: nobody collects them


class CannotServe(Exception):
    """A program's own resource is not what it needs; the message says what to do about it."""
