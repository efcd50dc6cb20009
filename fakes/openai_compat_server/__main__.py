"""Start the fake from a shell: `python -m fakes.openai_compat_server --help`."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator

import anyio

from fakes.openai_compat_server.connection import Fake
from fakes.openai_compat_server.control import Entry, Journal
from fakes.openai_compat_server.listener import serve
from fakes.openai_compat_server.listing import LISTINGS
from fakes.openai_compat_server.options import PROGRAM, Options, parse_options
from fakes.openai_compat_server.responses import Behaviour

_PROMPT = """\
<<<source c1 0123abcd>>>
title: Packages
Run dpkg --search FILE to see which package a file belongs to.
<<<end c1 0123abcd>>>
<<<question 0123abcd>>>
Which package does a file belong to?
<<<end question 0123abcd>>>"""
_BANNER = """\
OpenAI-compatible fake: {base}/v1
{dialect} dialect, persona {persona}, seed {seed}; first token after {ttft:g} ms, then one every
{itl:g} ms.{scenario}{admin} Try it:

curl -N {base}/v1/chat/completions -H 'content-type: application/json' -d '{body}'

Ctrl-C stops it.
"""


def main() -> int:
    options = parse_options(sys.argv[1:], os.environ)
    if options.listing:
        print(LISTINGS[options.listing]())
        return 0
    # asyncio, so that nobody needs trio to use this alone.
    return anyio.run(_run, options)


async def _run(options: Options) -> int:
    """Serve until told to stop; the program's exit status."""
    status = 0
    journal = Journal() if options.quiet else Journal(on_end=_log)
    behaviour = Behaviour(
        options.seed,
        options.persona,
        options.latency,
        dialect=options.dialect,
        scenario=options.scenario,
        script=options.script,
    )
    # The options let the admin face stand on a loopback address only.
    fake = Fake(behaviour, journal=journal, admin=options.admin, on_loopback=options.admin)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on, signals, tasks.cancel_scope)
            status = await _serve(options, fake)
            tasks.cancel_scope.cancel()
    return status


async def _stop_on(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return


async def _serve(options: Options, fake: Fake) -> int:
    def announce(port: int) -> None:
        if not options.quiet:
            print(_banner(options, port), flush=True)

    try:
        await serve(options.host, options.port, fake, announce)
    except OSError as fault:
        where = f"{options.host} port {options.port}"
        print(f"{PROGRAM}: can not listen on {where}: {fault}", file=sys.stderr)
    return 1


def _banner(options: Options, port: int) -> str:
    host = f"[{options.host}]" if ":" in options.host else options.host
    messages = [{"role": "user", "content": _PROMPT}]
    return _BANNER.format(
        base=f"http://{host}:{port}",
        dialect=options.dialect.name,
        persona=options.persona,
        seed=options.seed,
        ttft=options.latency.ttft_s * 1000,
        itl=options.latency.itl_s * 1000,
        scenario=f" Playing {options.scenario}." if options.scenario else "",
        admin=" Admin at /__admin/journal, /__admin/script." if options.admin else "",
        body=json.dumps({"model": "fake", "stream": True, "messages": messages}),
    )


def _log(entry: Entry) -> None:
    took_ms = ((entry.ended_at or entry.began_at) - entry.began_at) * 1000
    sent = f"{entry.bytes_sent} bytes in {took_ms:.0f} ms"
    if entry.client_left_at is not None:
        sent = f"client left after {sent}, of {entry.bytes_planned} bytes planned"
    print(f"{entry.request_line} {entry.status} {sent}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
