"""Scripts: which scenario which request gets, in which order.

A script is rules; a rule says which requests it is for, and what they get one after the other:
"fail the first two, then succeed" is `Rule(play=("429", "429", "ok"))`. What is played is a
scenario by its name, or a plan: a response of given bytes, which `raw_response` makes. The first
rule that matches and still has something to play decides. Rules are for POSTs, and where they
name a path, for whatever else is asked of it, but HEAD. Choosing is pure: what has been played
comes in and goes out as a value, and chance is drawn from the seed.
"""

import json
from collections.abc import Mapping, Sequence
from enum import Enum

from attrs import evolve, field, frozen
from attrs.validators import (
    and_,
    deep_iterable,
    ge,
    instance_of,
    le,
    matches_re,
    min_len,
    optional,
)

from fakes.openai_compat_server.http_request import HttpRequest
from fakes.openai_compat_server.plan import Plan
from fakes.openai_compat_server.raw_response import raw_line
from fakes.openai_compat_server.seeded import draw_for

ORDINARY = "ok"
UNSCRIPTED = "unscripted"  # what the journal calls the refusal of what a strict script has not
Playable = str | Plan
_UNMATCHED_MAX = 100


class Then(Enum):
    """What becomes of a rule that has played all it has."""

    PASS = "pass"
    LAST = "last"  # the last entry again, for good
    REPEAT = "repeat"  # from the first again


_a_text = optional(and_(instance_of(str), min_len(1)))
_a_path = optional(and_(instance_of(str), matches_re("/.*")))


@frozen
class Rule:
    """All that is given must hold. A header's name is matched in any case, its value exactly.

    `path` begins with a slash and is matched whole, without the query. A rule without one is for
    every POST; a rule with one is for the GETs of its path too.
    """

    play: tuple[Playable, ...] = field(
        validator=and_(instance_of(tuple), min_len(1), deep_iterable(instance_of((str, Plan))))
    )
    model: str | None = field(default=None, validator=_a_text)
    header: tuple[str, str] | None = None
    text: str | None = field(default=None, validator=_a_text)  # part of the last user message
    turn: int | None = field(default=None, validator=optional(and_(instance_of(int), ge(1))))
    chance: float = field(default=1.0, validator=and_(ge(0.0), le(1.0)))
    then: Then = Then.PASS
    path: str | None = field(default=None, validator=_a_path)


@frozen
class Script:
    """`strict`: a request that no rule matches is a mistake of whoever sent it.

    That is, one that the script `decides`.
    """

    rules: tuple[Rule, ...] = ()
    strict: bool = False


@frozen
class Progress:
    """How often each rule matched, and how many of its entries were played."""

    matched: Mapping[int, int] = field(factory=dict)
    played: Mapping[int, int] = field(factory=dict)
    unmatched: tuple[str, ...] = ()


@frozen
class Asked:
    """What of a request rules can tell it by. `turn` counts its user messages."""

    line: str
    model: str
    headers: tuple[tuple[str, str], ...]
    text: str
    turn: int

    @property
    def method(self) -> str:
        return self.line.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.line.partition(" ")[2].partition("?")[0]


def decides(script: Script, asked: Asked) -> bool:
    """Whether it is for the script to say what this request gets, were it that it gets nothing."""
    named = any(rule.path == asked.path for rule in script.rules)
    return asked.method == "POST" or (named and asked.method != "HEAD")


def choose(
    script: Script, asked: Asked, progress: Progress, seed: int
) -> tuple[Playable | None, Progress]:
    """What this request gets, None when no rule has one; and how far the script is then."""
    for at, rule in enumerate(script.rules):
        if not _matches(rule, asked):
            continue
        times = progress.matched.get(at, 0)
        progress = evolve(progress, matched={**progress.matched, at: times + 1})
        chosen = _entry(rule, progress.played.get(at, 0))
        draw = draw_for(seed, b"script")
        if chosen is None or draw.fraction(f"rule {at}", times) >= rule.chance:
            continue
        played = progress.played.get(at, 0) + 1
        return chosen, evolve(progress, played={**progress.played, at: played})
    unmatched = (*progress.unmatched, asked.line)[:_UNMATCHED_MAX]
    return None, evolve(progress, unmatched=unmatched)


def unplayed(script: Script, progress: Progress) -> tuple[str, ...]:
    """What no request has come for yet, a line for each rule."""
    left = [(at, rule.play[progress.played.get(at, 0) :]) for at, rule in enumerate(script.rules)]
    return tuple(f"rule {at + 1}: {', '.join(map(_told, rest))}" for at, rest in left if rest)


def asked_of(request: HttpRequest) -> Asked:
    """A body that can not be read has no model and no text; it is refused further on."""
    try:
        body: object = json.loads(request.body)
    except (ValueError, RecursionError):
        body = None
    fields = body if isinstance(body, dict) else {}
    model = fields.get("model")
    texts = _user_texts(fields)
    return Asked(
        line=request.line,
        model=model if isinstance(model, str) else "",
        headers=request.headers,
        text=texts[-1] if texts else "",
        turn=len(texts),
    )


def _matches(rule: Rule, asked: Asked) -> bool:
    wanted = rule.header and (rule.header[0].lower(), rule.header[1])
    return (
        (asked.method == "POST" if rule.path is None else rule.path == asked.path)
        and (rule.model is None or rule.model == asked.model)
        and (wanted is None or wanted in asked.headers)
        and (rule.text is None or rule.text in asked.text)
        and (rule.turn is None or rule.turn == asked.turn)
    )


def _told(playable: Playable) -> str:
    return raw_line(playable) if isinstance(playable, Plan) else playable


def _entry(rule: Rule, played: int) -> Playable | None:
    if played < len(rule.play):
        return rule.play[played]
    match rule.then:
        case Then.LAST:
            return rule.play[-1]
        case Then.REPEAT:
            return rule.play[played % len(rule.play)]
        case Then.PASS:
            return None


def _user_texts(fields: Mapping[str, object]) -> Sequence[str]:
    messages = fields.get("messages")
    found = messages if isinstance(messages, list) else []
    users = [it for it in found if isinstance(it, dict) and it.get("role") == "user"]
    return [_text(it.get("content")) for it in users]


def _text(content: object) -> str:
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))
