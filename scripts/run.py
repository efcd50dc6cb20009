"""`make run`: chooses the model server, ingests the handbook, starts the programs, stops them all.

Exit status 0 after a clean stop (Ctrl-C, SIGTERM, SIGHUP), 1 when a program could not be started,
kept running or stopped; the reason is the last line on stderr. A second Ctrl-C kills at once.
"""

import argparse
import json
import os
import signal
import sys
from functools import partial

import trio

from scripts import leash, local_settings, stack
from scripts.model_choice import UnusableModel, chosen
from scripts.readiness import failing_checks
from scripts.supervisor import Supervisor

CORPUS = "docs"
QUESTION = {"message": {"role": "user", "content": "How do I run this against Ollama?"}}


def say(line: str) -> None:
    """One line to the terminal. Nobody reading any more is no reason to stop."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def greeting(url: str, *, keyed: bool) -> list[str]:
    """What a newcomer needs next: where, what to try, where the logs are."""
    body = json.dumps(QUESTION)
    key = " -H 'x-api-key: YOUR-KEY'" if keyed else ""
    return [
        f"ready {url}",
        f"curl -N '{url}/chat?stream=true' -H 'content-type: application/json'{key} -d '{body}'",
        f"the chat page is at {url}/ · logs are in var/log/ · Ctrl-C stops everything",
    ]


async def heed_signals(supervisor: Supervisor) -> None:
    """Every signal that asks a program to end, but a SIGHUP that `nohup` has turned off."""
    signals = {signal.SIGINT, signal.SIGTERM}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.add(signal.SIGHUP)
    with trio.open_signal_receiver(*signals) as received:
        async for _ in received:
            supervisor.stop()
            say("stopping" if supervisor.asked == 1 else "killing")


async def tell_failing_checks(supervisor: Supervisor) -> None:
    """What a program that is ready still misses, a model server for instance; best effort."""
    for line in await failing_checks(supervisor.plan.programs):
        supervisor.say(line)


async def supervise(supervisor: Supervisor, url: str, *, keyed: bool) -> str | None:
    """The whole run; what went wrong, or None."""

    def greet() -> None:
        for line in greeting(url, keyed=keyed):
            say(line)
        nursery.start_soon(tell_failing_checks, supervisor)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(heed_signals, supervisor)
        fault = await supervisor.run(greet)
        nursery.cancel_scope.cancel()
    return fault


def main(arguments: list[str]) -> int:
    """Reads the settings, plans, runs; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.run", description=__doc__)
    parser.add_argument(
        "--end-with-parent",
        action="store_true",
        help="stop when the process that started this one is gone (for make, killed by SIGKILL)",
    )
    if parser.parse_args(arguments).end_with_parent:
        leash.die_with_parent(signal.SIGTERM, os.getppid())
    try:
        choice = chosen(local_settings.load())
    except UnusableModel as unusable:
        print(f"run: {unusable}", file=sys.stderr)
        return 1
    plan = stack.plan(choice.settings, sys.executable)
    for line in [*choice.said, *stack.drain_warnings(plan.environment)]:
        say(line)
    root = local_settings.ROOT
    first = (sys.executable, "-m", "qs.ingest", CORPUS)
    supervisor = Supervisor(plan, root, root / "var" / "log", say, first)
    keyed = bool(plan.environment.get("BFF_API_KEYS"))
    start = partial(supervise, supervisor, stack.url(plan.environment, "BFF"), keyed=keyed)
    fault = trio.run(start)
    if fault:
        print(f"run: {fault}", file=sys.stderr)
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
