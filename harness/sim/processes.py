"""Worlds played side by side, in processes of their own, with never more of them under way than
processes can take up soon: memory does not grow with the number of worlds.

A process ends when whoever started it does, however that ended.
"""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import Final

from harness.plans import from_json
from harness.sim.explained import explained
from harness.sim.state import Line, Told
from harness.sim.worlds import judged, world_of

_EXPLAINED_MAX: Final = 3  # each takes as long as hundreds of worlds
_AHEAD: Final = 4
# On the wall: a world that takes so long will never end.
_WORLD_ENDS_WITHIN_S: Final = 120


def side_by_side(
    seeds: Iterable[int], jobs: int, failed: Iterable[Line] = (), told: int = 0
) -> Iterator[Line | Told]:
    """Each seed's world as it is done; of the first that fail, what was found out, too.

    `failed` are those that failed before and were not explained; so many were: `told`. Raises
    BrokenProcessPool where a process died.
    """
    left, coming = _EXPLAINED_MAX - told, iter(seeds)
    executor = ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), initializer=_begin_process
    )
    try:
        waiting: set[Future[Line | Told]] = set()
        for line in islice(failed, max(left, 0)):
            left -= 1
            waiting.add(executor.submit(_explained, line))
        while True:
            room = max(_AHEAD * jobs - len(waiting), 0)
            waiting |= {executor.submit(_world, seed) for seed in islice(coming, room)}
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for found in (future.result() for future in done):
                yield found
                if isinstance(found, Line) and found.violations and left > 0:
                    left -= 1
                    waiting.add(executor.submit(_explained, found))
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _begin_process() -> None:
    # Ctrl-C is for the process that started this one, and ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, _too_long)
    gc.freeze()  # what is imported stays: collecting what worlds leave need not look at it
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _too_long(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"a world did not end within {_WORLD_ENDS_WITHIN_S} s of the wall's time")


def _world(seed: int) -> Line:
    began = os.times()
    signal.alarm(_WORLD_ENDS_WITHIN_S)
    try:
        world = world_of(seed)
    finally:
        signal.alarm(0)
    return Line(
        seed=seed,
        words=world.words,
        items=world.items,
        cpu_s=round(os.times().user - began.user, 3),
        violations=world.violations,
        plan=world.plan.to_json() if world.violations else "",
    )


def _explained(line: Line) -> Told:
    if any("TimeoutError" in violation for violation in line.violations):
        return Told(line.seed, (f"FAILED  seed {line.seed}", *line.violations, line.plan))
    return Told(line.seed, tuple(explained(judged(from_json(line.plan)))))
