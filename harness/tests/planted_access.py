"""Violations of who is let in: keys where none belong, strangers served, rates not kept."""

import json
from collections.abc import Callable, Mapping
from typing import Final

from attrs import evolve

from harness.evidence import Evidence
from harness.locks import CLIENT_KEY, KEYS, LLMGW_KEY, MODEL_KEY, QS_KEY, RATE, STRANGERS_KEY
from harness.tests.doctoring import GOOD, exchange_of, played, reasked, rebytes, relogged
from harness.tests.planted import body, planted
from harness.topics import TOPICS

_ENVIRON: Final = json.dumps(dict(KEYS))
LOCKED: Final = f'{{"calls": [{{"stream": false}}], "environ": {_ENVIRON}}}'
WRONG: Final = '{"calls": [{"client": "wrong-key"}]}'
_RATED: Final = json.dumps(dict(RATE))
TOO_SOON: Final = (
    f'{{"calls": [{{"stream": false}}, {{"topic": 1, "at_s": 5.0}}], "environ": {_RATED}}}'
)


def _logged(program: str, key: str) -> Callable[[], Evidence]:
    return lambda: relogged(
        played(LOCKED), program, lambda lines: [{**lines[0], "detail": key}, *lines[1:]]
    )


def _asked_with(host: str, old: str, new: str, plan: str = LOCKED) -> Callable[[], Evidence]:
    """Whoever asked this host sent these bytes in place of those."""
    return lambda: reasked(played(plan), host, 0, old.encode(), new.encode())


def _question(key: str) -> tuple[str, str]:
    """The question's beginning, and the key in its place."""
    return TOPICS[0].question[: len(key)], key


def _shown_to_the_model() -> Evidence:
    locked = played(LOCKED)
    call, *others = locked.model
    return evolve(locked, model=(evolve(call, request=call.request + LLMGW_KEY.encode()), *others))


def _judged_by(plan: str, environ: Mapping[str, str]) -> Evidence:
    """The same world, had it been promised this."""
    world = played(plan)
    return evolve(world, plan=evolve(world.plan, environ=environ))


def _untold(plan: str, number: int, header: bytes) -> Evidence:
    assert header.decode() in exchange_of(played(plan), "bff", number).answer_headers
    return rebytes(played(plan), "bff", number, header, b"x-" + header)


PLANTED: Final = (
    planted("keys_stay_on_their_hop", "bff's key stands in the log of bff",
            _logged("bff", CLIENT_KEY)),
    planted("keys_stay_on_their_hop", "model's key stands in the log of llmgw",
            _logged("llmgw", MODEL_KEY)),
    planted("keys_stay_on_their_hop", "qs's key stands in the log of bff", _logged("bff", QS_KEY)),
    planted("keys_stay_on_their_hop", "bff's key was sent to qs",
            _asked_with("qs", QS_KEY, CLIENT_KEY), also="only_known_callers_are_served"),
    planted("keys_stay_on_their_hop", "llmgw's key was sent to qs",
            _asked_with("qs", *_question(LLMGW_KEY))),
    planted("keys_stay_on_their_hop", "qs's key was sent by bff",
            body(0, plan=LOCKED, model=QS_KEY)),
    planted("keys_stay_on_their_hop", "call-0 at qs: a key where none belongs",
            _asked_with("qs", *_question(QS_KEY))),
    planted("keys_stay_on_their_hop", "call-0 at bff: a key where none belongs",
            _asked_with("bff", *_question(CLIENT_KEY))),
    planted("keys_stay_on_their_hop", "llmgw's key was shown to the model server",
            _shown_to_the_model),
    planted("only_known_callers_are_served", "call-0 at bff: let in without a key that is taken",
            _asked_with("bff", CLIENT_KEY, STRANGERS_KEY)),
    planted("only_known_callers_are_served", "call-0 at llmgw: let in without a key that is taken",
            _asked_with("llmgw", LLMGW_KEY, STRANGERS_KEY)),
    planted("only_known_callers_are_served", "call-0 at bff: refused with a key that is taken",
            _asked_with("bff", STRANGERS_KEY, CLIENT_KEY, WRONG)),
    planted("only_known_callers_are_served", "call-0 at bff: not told how to present a key",
            lambda: _untold(WRONG, 0, b"www-authenticate")),
    planted("rate_is_kept", "call-1 at bff: let in before its time",
            lambda: _judged_by(GOOD, RATE)),
    planted("rate_is_kept", "call-1 at bff: limited, and it was its time",
            lambda: _judged_by(TOO_SOON, {**RATE, "BFF_RATE_BURST": "2"})),
    planted("rate_is_kept", "call-1 at bff: not told when to come back",
            lambda: _untold(TOO_SOON, 1, b"retry-after")),
)  # fmt: skip
