"""How long an answer takes: time to first token, then a gap before each further one."""

import re

from attrs import frozen

from fakes.openai_compat_server.seeded import Draw

# Each delay is its mean, give or take this share, drawn evenly.
JITTER_SHARE = 0.25
_DELAY_MAX_S = 3600.0
_TERM = re.compile(r"(ttft|itl)=(\d{1,7}(?:\.\d{1,6})?)(ms|s)")


@frozen
class Latency:
    """Mean delays in seconds: `ttft_s` to the first token, `itl_s` between tokens."""

    ttft_s: float = 0.080
    itl_s: float = 0.008

    def first(self, draw: Draw) -> float:
        return _jittered(self.ttft_s, draw.fraction("ttft"))

    def between(self, draw: Draw, at: int) -> float:
        """The gap before token `at`, which is not the first."""
        return _jittered(self.itl_s, draw.fraction("itl", at))


def parse_latency(text: str) -> Latency:
    """`ttft=80ms,itl=8ms`, either part alone, units ms or s. ValueError says what is wrong."""
    given: dict[str, float] = {}
    for term in text.split(","):
        found = _TERM.fullmatch(term.strip())
        if not found:
            raise ValueError(f"{term.strip()!r} is not like ttft=80ms or itl=0.008s")
        name, seconds = found[1], float(found[2]) / (1000 if found[3] == "ms" else 1)
        if name in given:
            raise ValueError(f"{name} is given twice")
        if seconds > _DELAY_MAX_S:
            raise ValueError(f"{name} is over an hour")
        given[name] = seconds
    usual = Latency()
    return Latency(given.get("ttft", usual.ttft_s), given.get("itl", usual.itl_s))


def _jittered(mean_s: float, fraction: float) -> float:
    return round(mean_s * (1 + JITTER_SHARE * (2 * fraction - 1)), 6)
