"""One run: the worlds of a range of seeds, those that were judged before left out."""

from collections.abc import Iterator

from attrs import define, field

from harness.sim.processes import side_by_side
from harness.sim.progress import Shown
from harness.sim.state import Line, State, Told
from harness.sim.tally import Tally


@define
class Run:
    """`runs` worlds from the seed `first` on. `state` is what is known of them, and will be."""

    state: State
    first: int
    runs: int
    tally: Tally = field(factory=Tally, init=False)
    _judged: bytearray = field(init=False)  # of each world, whether it is
    _unexplained: dict[int, Line] = field(factory=dict, init=False)
    _explained: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._judged = bytearray(self.runs)

    def take_up(self, shown: Shown) -> None:
        """What earlier runs of this code came to."""
        for line in self.state.lines():
            self._note(line, shown)
        shown.begin(self.tally.worlds)

    def play(self, jobs: int, shown: Shown) -> None:
        """The rest of it."""
        unexplained = list(self._unexplained.values())
        for line in side_by_side(self._open_seeds(), jobs, unexplained, self._explained):
            self.state.add(line)
            self._note(line, shown)
            if isinstance(line, Line):
                shown.world(self.tally)

    def _open_seeds(self) -> Iterator[int]:
        yield from (self.first + at for at, done in enumerate(self._judged) if not done)

    def _note(self, line: Line | Told, shown: Shown) -> None:
        at = line.seed - self.first
        if not 0 <= at < self.runs:
            return
        if isinstance(line, Told):
            self._explained += 1
            self._unexplained.pop(line.seed, None)
            shown.say(*line.told)
        elif not self._judged[at]:
            self._judged[at] = True
            self.tally.add(line)
            if line.violations:
                self._unexplained[line.seed] = line
                shown.say(f"FAILED  seed {line.seed}: {line.violations[0]}")
