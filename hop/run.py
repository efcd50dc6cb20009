"""Running a program: settings from a mapping, one line for each fault, serve, drain, exit.

Each service's `__main__` hands in its environment and how to build its app; nothing else differs.
Exit codes: 0 after a drain, 1 when it cannot serve, 2 when its settings or arguments are unusable.
"""

import argparse
import logging
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeVar

import httpx
import trio

from hop.call import make_client
from hop.lifetime import Drain, HopApp
from hop.log import FromLibraries, make_log
from hop.metrics import Metrics
from hop.otlp import Exporter
from hop.pool import make_transport
from hop.program import CannotServe, Program
from hop.serve import CannotListen, Limits, open_listeners, serve
from hop.settings import HopSettings, SettingsError, load, variables_of

S = TypeVar("S", bound=HopSettings)
OpenApp = Callable[[Program, S, httpx.AsyncClient], AbstractAsyncContextManager[HopApp]]
MakeTransport = Callable[[S], httpx.AsyncBaseTransport]
_EXIT_CANNOT_SERVE = 1
_EXIT_UNUSABLE = 2


def _as_the_system_has_it(_: HopSettings) -> httpx.AsyncBaseTransport:
    return make_transport()


def run(
    kind: type[S],
    open_app: OpenApp[S],
    environ: Mapping[str, str],
    arguments: Sequence[str],
    *,
    outgoing: MakeTransport[S] = _as_the_system_has_it,
) -> int:
    """Run one program until it is told to stop; its exit code.

    `outgoing` makes what carries its own calls; it may raise SettingsError too.
    """
    _parser(kind).parse_args(arguments)
    try:
        settings, warnings = load(kind, environ)
        transport = outgoing(settings)
    except SettingsError as error:
        for line in error.lines:
            print(f"{kind.SERVICE}: {line}", file=sys.stderr)
        return _EXIT_UNUSABLE
    log = make_log(kind.SERVICE, settings.log_level, sys.stdout)
    logging.basicConfig(handlers=[FromLibraries(log)], level=logging.WARNING)
    for line in warnings:
        log.warning("setting ignored", detail=line)
    metrics = Metrics(kind.SERVICE)
    exporter = Exporter.of(settings, log, metrics)
    spans = exporter.spans(_random_hex) if exporter else None
    program = Program(settings, log, metrics, Drain(), _random_hex, spans=spans)
    sending = exporter.running() if exporter else nullcontext()
    try:
        return trio.run(_serve, program, settings, open_app, transport, sending)
    finally:
        _let_go_of_output()


def _let_go_of_output() -> None:
    """Lines that can no longer be written are lost; Python would make an exit code of it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _serve(
    program: Program,
    settings: S,
    open_app: OpenApp[S],
    transport: httpx.AsyncBaseTransport,
    sending: AbstractAsyncContextManager[None],
) -> int:
    # From before the first line is logged: whoever has read it may send a signal.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        try:
            listeners = await open_listeners(settings.host, settings.port)
        except CannotListen as error:
            print(f"{settings.SERVICE}: {error}", file=sys.stderr)
            return _EXIT_CANNOT_SERVE
        except UnicodeError:
            print(f"{settings.SERVICE}: {settings.host!r} is no host name", file=sys.stderr)
            return _EXIT_CANNOT_SERVE
        try:
            async with (
                make_client(transport) as client,
                open_app(program, settings, client) as app,
                sending,
            ):
                await _listen(program, app, listeners, signals)
        except CannotServe as error:
            print(f"{settings.SERVICE}: {error}", file=sys.stderr)
            for listener in listeners:
                await listener.aclose()
            return _EXIT_CANNOT_SERVE
    program.log.info("stopped")
    return 0


async def _listen(
    program: Program,
    app: HopApp,
    listeners: Sequence[trio.SocketListener],
    signals: AsyncIterator[int],
) -> None:
    """Serve until a signal, and drain."""
    settings = program.settings
    port = listeners[0].socket.getsockname()[1]
    program.log.info("serving", host=settings.host, port=port)
    async with trio.open_nursery() as nursery:
        told = trio.Event()
        nursery.start_soon(_heed, signals, told, nursery.cancel_scope)
        limits = serving_limits(settings)
        await serve(app, listeners, drain=program.drain, limits=limits, stop=told.wait)
        nursery.cancel_scope.cancel()


async def _heed(signals: AsyncIterator[int], told: trio.Event, all_of_it: trio.CancelScope) -> None:
    """The first signal asks for a drain; the second does not wait for it."""
    await anext(signals)
    told.set()
    await anext(signals)
    all_of_it.cancel()


def serving_limits(settings: HopSettings) -> Limits:
    """The serving limits that the settings give."""
    return Limits(
        stall_s=settings.client_stall_timeout_ms / 1000,
        drain_s=settings.drain_timeout_ms / 1000,
    )


def _random_hex(digits: int) -> str:
    return secrets.token_hex((digits + 1) // 2)[:digits]


def _written(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _parser(kind: type[HopSettings]) -> argparse.ArgumentParser:
    """No options: the environment is the one way in. `--help` lists it."""
    lines = [
        f"  {variable.name}={_written(variable.default)}\n      {variable.help}"
        for variable in variables_of(kind).values()
    ]
    return argparse.ArgumentParser(
        prog=f"python -m {kind.SERVICE}",
        description=f"{kind.ABOUT} Settings come from the environment.",
        epilog="environment, with defaults:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
