"""An OpenAI-compatible model server without a model.

A pure function makes a plan (delays and bytes) from a seed and a request; a carrier performs it
over any stream, under asyncio or trio. Refuses what the real API refuses; never reads a clock or
draws an unseeded number to decide what is sent. For raw trio streams see `over_trio`.
"""

from typing import TYPE_CHECKING

from fakes.openai_compat_server.extra import Refusing

__all__ = [
    "Behaviour",
    "Chunk",
    "Ending",
    "Entry",
    "Fake",
    "HttpRequest",
    "Journal",
    "Latency",
    "Limits",
    "OpenAIFake",
    "Plan",
    "Playing",
    "Rule",
    "Script",
    "Sessions",
    "Step",
    "Then",
    "Tls",
    "TlsUnavailable",
    "TooManySessions",
    "parse_latency",
    "plan_response",
    "raw",
    "serve",
    "serve_stream",
    "serving",
]

try:
    from fakes.openai_compat_server.connection import Fake, Limits, serve_stream
    from fakes.openai_compat_server.control import (
        Chunk,
        Entry,
        Journal,
        Playing,
        Sessions,
        TooManySessions,
    )
    from fakes.openai_compat_server.http_request import HttpRequest
    from fakes.openai_compat_server.listener import serve
    from fakes.openai_compat_server.openai_fake import OpenAIFake
    from fakes.openai_compat_server.pacing import Latency, parse_latency
    from fakes.openai_compat_server.plan import Ending, Plan, Step
    from fakes.openai_compat_server.raw_response import raw
    from fakes.openai_compat_server.responses import Behaviour, plan_response
    from fakes.openai_compat_server.script import Rule, Script, Then
    from fakes.openai_compat_server.served import serving
    from fakes.openai_compat_server.tls import Tls, TlsUnavailable
except ModuleNotFoundError as fault:
    # Whoever starts a program imports this first, and has a line of its own to say about it.
    if not TYPE_CHECKING:
        __getattr__ = Refusing(__name__, __all__, fault)
