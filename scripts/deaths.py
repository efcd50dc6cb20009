"""Whether a program that died is started again, and after which pause. Pure: `now` is given."""

from attrs import Factory, define

DEATHS_MAX = 3
WITHIN_S = 10.0
FIRST_PAUSE_S = 0.2  # long enough to read the line, short enough that the next question works


@define
class Deaths:
    """One program's deaths: the third within ten seconds is the last."""

    times: list[float] = Factory(list)

    def pause_after(self, now: float) -> float | None:
        """Seconds until the next start, doubling with each recent death; None to give up."""
        self.times = [time for time in self.times if now - time < WITHIN_S] + [now]
        if len(self.times) >= DEATHS_MAX:
            return None
        pause: float = FIRST_PAUSE_S * 2 ** (len(self.times) - 1)
        return pause
