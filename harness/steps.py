"""Leaving by steps, not by time: so between any two wake-ups, also of the same moment.

`trio.lowlevel.add_instrument(CancelAfter(n, scope))` cancels `scope` when all tasks together have
taken `n` steps from then on. Cancelled is what the next step finds, never a step under way.
"""

import trio
from attrs import define, field


@define(eq=False)
class CancelAfter(trio.abc.Instrument):
    """Cancels a scope after so many steps, unless it is `done` before. None: never."""

    left: int | None
    scope: trio.CancelScope
    done: bool = False
    _token: trio.lowlevel.TrioToken = field(factory=trio.lowlevel.current_trio_token, init=False)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - trio's
        if self.left is None or self.done:
            return
        self.left -= 1
        if self.left == 0:
            self._token.run_sync_soon(self.scope.cancel)
