"""Running a program: settings from a mapping, one line for each fault, serve, drain, exit.

Each service's `__main__` hands in its environment and how to build its app; nothing else differs.
Exit codes: 0 after a drain, 1 when it cannot serve, 2 when its settings or arguments are unusable.
"""

import argparse
import gc
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
from hop.workers import run_workers

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
        return _listening(program, settings, open_app, transport, sending)
    finally:
        _let_go_of_output()


def _listening(
    program: Program,
    settings: S,
    open_app: OpenApp[S],
    transport: httpx.AsyncBaseTransport,
    sending: AbstractAsyncContextManager[None],
) -> int:
    """Serve in this process, or in as many workers as are asked for."""
    each = program, settings, open_app, transport, sending
    if settings.workers == 1:
        return trio.run(_serve, *each, None, None)
    try:
        listeners = trio.run(open_listeners, settings.host, settings.port)
    except (CannotListen, UnicodeError) as error:
        return _cannot_listen(settings, error)

    def work(parent_left: int) -> int:
        try:
            return trio.run(_serve, *each, listeners, parent_left)
        finally:
            _let_go_of_output()

    try:
        return run_workers(settings.workers, work, program.log)
    finally:
        for listener in listeners:  # no loop runs here that its own `close` could tell
            os.close(listener.socket.detach())


def _cannot_listen(settings: HopSettings, error: CannotListen | UnicodeError) -> int:
    no_name = isinstance(error, UnicodeError)
    why = f"{settings.host!r} is no host name" if no_name else str(error)
    return _cannot_serve(settings, why)


def _cannot_serve(settings: HopSettings, why: str) -> int:
    print(f"{settings.SERVICE}: {why}", file=sys.stderr)
    return _EXIT_CANNOT_SERVE


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
    listeners: list[trio.SocketListener] | None,
    parent_left: int | None,
) -> int:
    """Serve and drain. A worker has its `listeners` from its parent, and minds its leaving."""
    # From before the first line is logged: whoever has read it may send a signal.
    heeded = (signal.SIGTERM,) if parent_left is not None else (signal.SIGINT, signal.SIGTERM)
    with trio.open_signal_receiver(*heeded) as signals:
        try:
            listeners = listeners or await open_listeners(settings.host, settings.port)
        except (CannotListen, UnicodeError) as error:
            return _cannot_listen(settings, error)
        try:
            async with (
                make_client(transport) as client,
                open_app(program, settings, client) as app,
                sending,
            ):
                # What there is by now lives as long as the program: collections pass it over.
                gc.collect()
                gc.freeze()
                # A call makes some thousand objects, nearly all of which their last user frees.
                # What a cancelled call leaves is in cycles: 20,000 of them at once take 10 ms.
                gc.set_threshold(2_000, 20, 20)
                await _listen(program, app, listeners, signals, parent_left)
        except CannotServe as error:
            for listener in listeners:
                await listener.aclose()
            return _cannot_serve(settings, str(error))
    program.log.info("stopped")
    return 0


async def _listen(
    program: Program,
    app: HopApp,
    listeners: Sequence[trio.SocketListener],
    signals: AsyncIterator[int],
    parent_left: int | None,
) -> None:
    """Serve until a signal, or until a worker's parent is gone, and drain."""
    settings = program.settings
    port = listeners[0].socket.getsockname()[1]
    program.log.info("serving", host=settings.host, port=port)
    async with trio.open_nursery() as nursery:
        told = trio.Event()
        nursery.start_soon(_heed, signals, told, nursery.cancel_scope)
        if parent_left is not None:
            nursery.start_soon(_mind, parent_left, told)
        limits = serving_limits(settings)
        await serve(app, listeners, drain=program.drain, limits=limits, stop=told.wait)
        nursery.cancel_scope.cancel()


async def _heed(signals: AsyncIterator[int], told: trio.Event, all_of_it: trio.CancelScope) -> None:
    """The first signal asks for a drain; the second does not wait for it."""
    await anext(signals)
    told.set()
    await anext(signals)
    all_of_it.cancel()


async def _mind(parent_left: int, told: trio.Event) -> None:
    """A parent that is gone asks for a drain too."""
    await trio.lowlevel.wait_readable(parent_left)
    told.set()


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
