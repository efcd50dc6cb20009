"""Violations of the clocks: too long, too silent, not felt, not flowing."""

from typing import Final

from attrs import evolve

from harness.evidence import Evidence
from harness.tests.doctoring import (
    ABSTAINED,
    GOOD,
    LEAVING,
    PLAIN,
    SHORT,
    SLOW_BODY,
    STALLING,
    STREAMED,
    UNANSWERED,
    moved,
    played,
    reasked,
    without,
)
from harness.tests.planted import held_back, planted, stream

SEARCHING: Final = '{"calls":[{"search":"slow"}]}'


def _never_ends() -> Evidence:
    """All is said but that it is over, and nobody hangs up."""
    return without(
        played(GOOD),
        "bff",
        STREAMED,
        lambda it: it.what in ("eof", "reset") or it.data == b"0\r\n\r\n",
    )


def _longer(plan: str, number: int, after: float, by_s: float) -> Evidence:
    """Whatever this call's client sees after a time comes so much later."""
    return moved(played(plan), "bff", number, lambda it: it.at > after, by_s)


def _impatient() -> Evidence:
    """The BFF had said that it waits for a tenth of a second."""
    return reasked(played(GOOD), "qs", STREAMED, b"x-deadline-ms: 19750", b"x-deadline-ms: 00100")


def _ends_late() -> Evidence:
    """After the last event, eleven seconds pass."""
    return moved(
        played(GOOD),
        "bff",
        ABSTAINED,
        lambda it: it.what in ("eof", "reset") or it.data == b"0\r\n\r\n",
        11.0,
    )


def _model_goes_on(number: int) -> Evidence:
    world = played(LEAVING)
    model = list(world.model)
    model[number] = evolve(model[number], client_left_at=None, ended_at=9.0)
    return evolve(world, model=tuple(model))


def _asked_late() -> Evidence:
    return moved(played(LEAVING), "llmgw", 1, lambda _: True, 0.5)


def _held(host: str, number: int) -> Evidence:
    """This hop's caller hangs up a second after its own had."""
    return moved(played(LEAVING), host, number, lambda it: it.what in ("eof", "reset"), 1.0)


PLANTED: Final = (
    planted("deadlines_are_kept", "call-0 at bff: never ended", _never_ends,
            "ends_as_demanded log_and_answer_agree"),
    planted("deadlines_are_kept", "call-1 at bff: took 20.",
            lambda: _longer(GOOD, PLAIN, 5.0, 20.0)),
    planted("deadlines_are_kept", "call-0 at qs: took 0.", _impatient),
    planted("deadlines_are_kept", "call-0 at bff: took 6.000 s",
            lambda: _longer(SLOW_BODY, 0, 4.0, 1.0)),
    planted("deadlines_are_kept", "call-0 at bff: took",
            lambda: _longer(STALLING, 0, 9.0, 25.0)),
    planted("deadlines_are_kept", "call-0 at qs: took 3.500 s",
            lambda: moved(played(SEARCHING), "qs", 0, lambda it: it.at > 1.0, 2.0)),
    planted("nobody_gives_up_early", "call-0 at llmgw: PROVIDER_TIMEOUT after 1.000 s of 9.000",
            lambda: reasked(played(SHORT), "llmgw", 0, b"x-deadline-ms: 1000",
                            b"x-deadline-ms: 9000")),
    planted("nobody_gives_up_early", "call-0 at bff: HOP_TIMEOUT after 15.000 s of 18.750 s",
            lambda: _longer(UNANSWERED, 0, 15.0, -5.0)),
    planted("streams_are_never_silent", "call-3 at bff: 11.1 s without a byte",
            lambda: _longer(GOOD, ABSTAINED, 15.0, 11.0)),
    planted("streams_are_never_silent", "call-3 at bff: 11.0 s without a byte", _ends_late),
    planted("leaving_is_felt", "call-0 at bff: the model went on writing after it had left",
            lambda: _model_goes_on(0)),
    planted("leaving_is_felt", "call-1 at bff: the model went on writing after it had left",
            lambda: _model_goes_on(1)),
    planted("leaving_is_felt", "call-1 at bff: llmgw was asked after it had left", _asked_late),
    planted("leaving_is_felt", "call-0 at bff: qs was still held after it had left",
            lambda: _held("qs", 0)),
    planted("leaving_is_felt", "call-1 at qs: llmgw was still held after it had left",
            lambda: _held("llmgw", 1)),
    planted("text_flows", "call-0 at bff: ",
            stream(STREAMED, held_back)),
    planted("text_flows", "call-0 at llmgw: ",
            stream(STREAMED, held_back, "llmgw")),
)  # fmt: skip
