"""Start the fake from a shell: `python -m fakes.openai_compat_server --help`."""

import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fakes.openai_compat_server.extra import or_exit

with or_exit("openai-fake"):
    import anyio

    from fakes.openai_compat_server.catalogue import near_names
    from fakes.openai_compat_server.connection import Fake
    from fakes.openai_compat_server.control import Entry, Journal
    from fakes.openai_compat_server.listener import serve
    from fakes.openai_compat_server.listing import LISTINGS
    from fakes.openai_compat_server.options import Options, parse_options, program_name
    from fakes.openai_compat_server.responses import Behaviour
    from fakes.openai_compat_server.tls import LOOPBACK_NAMES, Tls, write_authority

_ADMIN = "/__admin/journal, /__admin/script, /__admin/unplayed"
_BANNER = """\
OpenAI-compatible fake: {base}/v1
{dialect} dialect, persona {persona}, seed {seed}; first token after {ttft:g} ms, then one every
{itl:g} ms.{scenario}{admin}{authority} Try it:

{curl} {base}/v1/chat/completions -H 'content-type: application/json' -d '{body}'

Ctrl-C stops it.
"""


def main() -> int:
    program = program_name(sys.argv[0])
    options = parse_options(sys.argv[1:], os.environ, program)
    fault = _listed(options) if options.listing else _started(options)
    if fault:
        print(f"{program}: {fault}", file=sys.stderr)
    return 1 if fault else 0


def _listed(options: Options) -> str:
    """Say what was asked for; what kept it from being said, empty where nothing did."""
    if text := LISTINGS[options.listing](options.words):
        return _say(text)
    words = " ".join(options.words)
    return f"no scenario has {words!r} in its name or meaning. {near_names(words)}"


def _started(options: Options) -> str:
    """Serve until told to stop; what kept it from serving, empty where nothing did."""
    try:
        with _tls(options) as (tls, ca):
            # asyncio, so that nobody needs trio to use this alone.
            return anyio.run(_run, options, tls, ca)
    except _NoStart as fault:
        return str(fault)


class _NoStart(Exception):
    """There can be no TLS; the message says why, in one line."""


@contextmanager
def _tls(options: Options) -> Iterator[tuple[Tls | None, Path | None]]:
    """What TLS needs, and the file with the authority; a temporary one goes when it is left."""
    if not options.tls:
        yield None, None
        return
    with ExitStack() as stack:
        try:
            tls = Tls(tuple(dict.fromkeys((*LOOPBACK_NAMES, options.host, *options.tls_hosts))))
        except ValueError as fault:
            raise _NoStart(f"no certificate can be for this host: {fault}") from None
        try:
            ca = options.tls_ca or Path(stack.enter_context(TemporaryDirectory())) / "ca.pem"
            write_authority(ca, tls)
        except OSError as fault:
            raise _NoStart(f"--tls-ca: {fault}") from None
        yield tls, ca


async def _run(options: Options, tls: Tls | None, ca: Path | None) -> str:
    """Serve until told to stop; what kept it from serving, empty where nothing did."""
    journal = Journal() if options.quiet else Journal(on_end=_log)
    behaviour = Behaviour(
        options.seed,
        options.persona,
        options.latency,
        dialect=options.dialect,
        scenario=options.scenario,
        script=options.script,
        window_tokens=options.window_tokens,
    )
    fake = Fake(behaviour, journal=journal, admin=options.admin, tls=tls)
    fault = ""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on, signals, tasks.cancel_scope)
            fault = await _serve(options, fake, ca)
            tasks.cancel_scope.cancel()
    return fault


async def _stop_on(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return


async def _serve(options: Options, fake: Fake, ca: Path | None) -> str:
    """Serve until cancelled; else what kept it from listening."""

    def announce(port: int) -> None:
        if not options.quiet:
            _say(_banner(options, port, ca))

    try:
        await serve(options.host, options.port, fake, announce)
    except OSError as fault:
        return f"can not listen on {options.host} port {options.port}: {fault}"
    raise AssertionError("it serves until it is cancelled")


def _banner(options: Options, port: int, ca: Path | None) -> str:
    host = f"[{options.host}]" if ":" in options.host else options.host
    messages = [{"role": "user", "content": "hello"}]
    return _BANNER.format(
        base=f"{'https' if options.tls else 'http'}://{host}:{port}",
        dialect=options.dialect.name,
        persona=options.persona,
        seed=options.seed,
        ttft=options.latency.ttft_s * 1000,
        itl=options.latency.itl_s * 1000,
        scenario=f" Playing {options.scenario}." if options.scenario else "",
        admin=f" Admin at {_ADMIN}." if options.admin else "",
        authority=f"\nClients must trust the authority in {ca}." if ca else "",
        curl=f"curl -N --cacert {shlex.quote(str(ca))}" if ca else "curl -N",
        body=json.dumps({"model": "fake", "stream": True, "messages": messages}),
    )


def _log(entry: Entry) -> None:
    took_ms = ((entry.ended_at or entry.began_at) - entry.began_at) * 1000
    sent = f"{entry.bytes_sent} bytes in {took_ms:.0f} ms"
    if entry.client_left_at is not None:
        sent = f"client left after {sent}, of {entry.bytes_planned} bytes planned"
    _say(f"{entry.request_line} {entry.status} {sent}")


def _say(text: str) -> str:
    """On stdout, at once; what kept it from being said, where it was not the reader's leaving.

    Where it could not be said, nothing is from then on: a server goes on without its reader.
    """
    try:
        print(text, flush=True)
    except OSError as fault:
        # What is left in the buffer must have a place to go when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "" if isinstance(fault, BrokenPipeError) else f"stdout: {fault.strerror}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
