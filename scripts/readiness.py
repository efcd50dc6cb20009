"""What the programs' `/ready` says is not well, one line a check, for whoever started them.

A program is ready although the one it calls is not (CONTRACT §1), so "ready" alone can mislead.
Best effort: what does not answer in time, or not as the contract has it, is passed over.
"""

import json
from collections.abc import Iterator, Sequence

import httpx
import trio

from scripts.stack import Program

LIMIT_S = 2.0  # a check takes a second at most


async def failing_checks(programs: Sequence[Program]) -> list[str]:
    """The lines of all programs, in their order, after `LIMIT_S` at the latest."""
    found: dict[str, list[str]] = {}

    async def ask(client: httpx.AsyncClient, program: Program) -> None:
        try:
            reply = await client.get(program.ready_url)
        except httpx.HTTPError:
            return
        found[program.name] = list(not_ok(program.name, reply.content))

    with trio.move_on_after(LIMIT_S):
        async with (
            httpx.AsyncClient(trust_env=False, timeout=LIMIT_S) as client,
            trio.open_nursery() as nursery,
        ):
            for program in programs:
                nursery.start_soon(ask, client, program)
    return [line for program in programs for line in found.get(program.name, [])]


def not_ok(name: str, body: bytes) -> Iterator[str]:
    """A line for each check in the body of a `/ready` that is not ok."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return
    checks = told.get("checks") if isinstance(told, dict) else None
    for check, result in checks.items() if isinstance(checks, dict) else ():
        if isinstance(result, dict) and result.get("ok") is False:
            yield f"not ok yet: {name}: {check}: {result.get('detail')}"
