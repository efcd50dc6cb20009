"""How long an answer takes: a latency says it in means, a pace is one answer's share of it.

    a connection is looked at     after `connect`
    the first token comes         after what is left of `cold`, `ttft`, and `prefill` a prompt token
    each further token            after `itl`

Each delay is drawn anew around its mean, and is longer the more requests are in hand. Pure: when a
request came, and what else was going on, is told by whoever has a clock (`Moment`).
"""

import math
import re
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Final

from attrs import Attribute, field, frozen, validators

from fakes.openai_compat_server.seeded import Draw, draw_for

LATENCY_HELP: Final = (
    "ttft, itl: mean time to the first token, and between tokens; prefill: for each token of the"
    " prompt; connect: before a connection is looked at; cold: until the model is loaded, from the"
    " first request on; load=0.2: all but cold a fifth longer for each other request in hand;"
    " spread: constant, even, normal or lognormal, with a share of the mean as in lognormal:0.5"
    " (default: ttft=80ms,itl=8ms,spread=even:0.25)"
)
_DELAY_MAX_S: Final = 3600.0
_LOAD_MAX: Final = 100.0
_TIME: Final = re.compile(r"(\d{1,7}(?:\.\d{1,6})?)(ms|s)")
_NUMBER: Final = re.compile(r"\d{1,3}(?:\.\d{1,6})?")
_NAMES: Final = ("ttft", "itl", "prefill", "connect", "cold", "load", "spread")
_KNOWN: Final = f"what can be given is {', '.join(_NAMES)}"
_NORMAL: Final = NormalDist()
# The inverse has no value at 0 and at 1.
_FRACTION_MIN: Final = 2.0**-53


def _even(share: float, fraction: float) -> float:
    return 1 + share * (2 * fraction - 1)


def _normal(share: float, fraction: float) -> float:
    """A bell around the mean, cut where time would run backwards."""
    return max(0.0, 1 + share * _deviations(fraction))


def _lognormal(share: float, fraction: float) -> float:
    """Mostly a little under the mean, and at times far over it, as real servers are."""
    variance = math.log1p(share**2)
    return math.exp(math.sqrt(variance) * _deviations(fraction) - variance / 2)


def _deviations(fraction: float) -> float:
    return _NORMAL.inv_cdf(min(max(fraction, _FRACTION_MIN), 1 - _FRACTION_MIN))


# From a share of the mean and a fraction in [0, 1] to what the mean is multiplied by.
SPREADS: Final[Mapping[str, Callable[[float, float], float]]] = {
    "constant": lambda _share, _fraction: 1.0,
    "even": _even,
    "normal": _normal,
    "lognormal": _lognormal,
}


def _up_to(most: float) -> Callable[[object, "Attribute[float]", float], None]:
    def check(_: object, about: "Attribute[float]", value: float) -> None:
        if not 0 <= value <= most:
            raise ValueError(f"{about.name}: {value:g} is not from 0 to {most:g}")

    return check


@frozen
class Moment:
    """How a server stands when a request comes."""

    concurrent: int = 1  # requests in hand, this one among them
    cold_s: float = 0.0  # until its model is loaded


@frozen
class Latency:
    """Mean delays in seconds and how they vary. ValueError for what is out of its range.

    From 0 to an hour: `connect_s`, before a connection is looked at; `cold_s`, from the first
    request on until the model is loaded; `prefill_s` for each token of the prompt and `ttft_s`,
    both before the first token; `itl_s`, between tokens.

    `load`, from 0 to 100: by what share a delay is longer for each other request in hand. `spread`
    is one of SPREADS, and `share`, from 0 to 1, its width against the mean: the farthest that
    `even` goes to either side, the standard deviation of `normal` and `lognormal`.
    """

    ttft_s: float = field(default=0.080, validator=_up_to(_DELAY_MAX_S))
    itl_s: float = field(default=0.008, validator=_up_to(_DELAY_MAX_S))
    prefill_s: float = field(default=0.0, validator=_up_to(_DELAY_MAX_S))
    connect_s: float = field(default=0.0, validator=_up_to(_DELAY_MAX_S))
    cold_s: float = field(default=0.0, validator=_up_to(_DELAY_MAX_S))
    load: float = field(default=0.0, validator=_up_to(_LOAD_MAX))
    spread: str = field(default="even", validator=validators.in_(SPREADS))
    share: float = field(default=0.25, validator=_up_to(1))

    def connecting_s(self, seed: int, number: int, in_hand: int) -> float:
        """How long a server's `number`th connection waits until it is looked at."""
        draw = draw_for(seed, b"connection", b"%d" % number)
        return round(self.drawn_s(self.connect_s, draw, "connect") * self.slowed(in_hand + 1), 6)

    def loading_s(self, seed: int) -> float:
        """How long a server's model is being loaded: by itself, so that no load slows it."""
        return round(self.drawn_s(self.cold_s, draw_for(seed, b"model"), "cold"), 6)

    def drawn_s(self, mean_s: float, draw: Draw, name: str, at: int = 0) -> float:
        """The `at`th of the delays of that name, around its mean."""
        return mean_s * SPREADS[self.spread](self.share, draw.fraction(name, at))

    def slowed(self, concurrent: int) -> float:
        """By what a delay is multiplied when that many requests are in hand."""
        return 1 + self.load * (concurrent - 1)


@frozen
class Pace:
    """One answer's delays: the same latency, draw, prompt and moment always give the same."""

    latency: Latency
    draw: Draw
    prompt_tokens: int
    moment: Moment = field(factory=Moment)

    def first(self) -> float:
        """To the first token."""
        latency, draw = self.latency, self.draw
        prefill_s = latency.prefill_s * self.prompt_tokens
        working_s = latency.drawn_s(latency.ttft_s, draw, "ttft")
        working_s += latency.drawn_s(prefill_s, draw, "prefill")
        return round(self.moment.cold_s + working_s * self._slowed, 6)

    def between(self, at: int) -> float:
        """The gap before token `at`, which is not the first."""
        gap_s = self.latency.drawn_s(self.latency.itl_s, self.draw, "itl", at)
        return round(gap_s * self._slowed, 6)

    @property
    def _slowed(self) -> float:
        return self.latency.slowed(self.moment.concurrent)


def parse_latency(text: str) -> Latency:
    """`ttft=80ms,prefill=0.5ms,load=0.2,spread=lognormal:0.5`: any terms, in any order, each once.

    Times end in ms or s. ValueError says what is wrong; what is not given is as usual.
    """
    given = _terms(text)
    spread, share = _spread(given.get("spread", f"{_USUAL.spread}:{_USUAL.share}"))
    return Latency(
        ttft_s=_time(given, "ttft", _USUAL.ttft_s),
        itl_s=_time(given, "itl", _USUAL.itl_s),
        prefill_s=_time(given, "prefill", _USUAL.prefill_s),
        connect_s=_time(given, "connect", _USUAL.connect_s),
        cold_s=_time(given, "cold", _USUAL.cold_s),
        load=_number("load", given.get("load", f"{_USUAL.load}"), _LOAD_MAX),
        spread=spread,
        share=share,
    )


_USUAL: Final = Latency()


def _terms(text: str) -> Mapping[str, str]:
    """Each term's value by its name."""
    given: dict[str, str] = {}
    for term in text.split(","):
        name, equals, value = term.strip().partition("=")
        if not equals or name not in _NAMES:
            raise ValueError(f"{term.strip()!r} is not like ttft=80ms; {_KNOWN}")
        if name in given:
            raise ValueError(f"{name} is given twice")
        given[name] = value
    return given


def _time(given: Mapping[str, str], name: str, usual_s: float) -> float:
    if name not in given:
        return usual_s
    found = _TIME.fullmatch(given[name])
    if not found:
        raise ValueError(f"{name}: {given[name]!r} is no time like 80ms or 0.08s")
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1)
    if seconds > _DELAY_MAX_S:
        raise ValueError(f"{name} is over an hour")
    return seconds


def _spread(text: str) -> tuple[str, float]:
    """Its name and its share, which is the usual one where none is given."""
    name, colon, share = text.partition(":")
    if name not in SPREADS:
        raise ValueError(f"spread: {name!r} is none of {', '.join(SPREADS)}")
    if colon and name == "constant":
        raise ValueError("spread: constant has no share")
    return name, _number("spread", share, 1) if colon else _USUAL.share


def _number(name: str, text: str, most: float) -> float:
    if not _NUMBER.fullmatch(text) or float(text) > most:
        raise ValueError(f"{name}: {text!r} is no number from 0 to {most:g} like 0.2")
    return float(text)
