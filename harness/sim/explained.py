"""A world that failed, told with all that plays it again: its least plan, and the row to keep."""

import json
import platform
from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

from harness.sim.worlds import Judged, divergence, shrunk

_LIBRARIES: Final = ("trio", "hypercorn", "quart-trio", "httpx", "h11")


def explained(world: Judged) -> Iterator[str]:
    """Line by line. It is played some hundred times for this."""
    least = shrunk(world)
    yield f"FAILED  seed {world.plan.seed}"
    for line in least.violations:
        yield f"  {line}"
    yield f"  plan        {world.plan.to_json()}"
    parted = divergence(least.plan) if least.trace else ""
    yield f"  replayed    {'differently: ' + parted if parted else 'the same, step by step'}"
    found = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    yield f"  versions    Python {platform.python_version()}, {found}"
    yield f"  all of it   make sim SEED={world.plan.seed} RUNS=1"
    yield f"  the least   .venv/bin/python -m harness.sim --plan '{least.plan.to_json()}'"
    yield "  keep it     in harness/sim/kept.toml, when it is put right:"
    yield from (f"    {line}" for line in row(least))


def row(least: Judged) -> Iterator[str]:
    """The row of `kept.toml`; what the world was is for people to say."""
    yield "[[kept]]"
    yield f"seed = {least.plan.seed}"
    yield f"checker = {json.dumps(min(least.checkers))}"
    yield f"was = {json.dumps(least.violations[0], ensure_ascii=False)}"
    yield f"plan = '{least.plan.to_json()}'"
