"""What is sent and when: the steps of one response, as data.

A carrier performs a plan and adds nothing to it, so whatever a client sees is decided in pure
code, from a seed and a request. Delays are seconds after the step before.
"""

from enum import Enum, auto

from attrs import field, frozen


class Ending(Enum):
    """What becomes of the connection when the last step has been sent."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()  # RST, at once: bytes still under way may be lost
    SILENCE = auto()  # not another word, and no close either, until the client leaves


@frozen
class Step:
    """`data` may be empty: then only time passes."""

    delay_s: float
    data: bytes


@frozen
class Plan:
    """One response. For the journal: `status` is what the bytes claim, 0 where they claim none, and
    `scenario` names what is played in it, if anything is."""

    status: int
    steps: tuple[Step, ...]
    ending: Ending
    scenario: str = field(default="", eq=False)

    @property
    def is_refusal(self) -> bool:
        """Whether the server refuses by itself, and no scenario has it so."""
        return self.status >= 400 and not self.scenario

    @property
    def size_bytes(self) -> int:
        return sum(len(step.data) for step in self.steps)
