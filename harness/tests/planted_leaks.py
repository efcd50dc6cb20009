# ruff: noqa: E501 - a row of the table is read as one
"""Violations of rest: what is still held, what does not come back, what stands in a log."""

from collections.abc import Callable
from typing import Final

from attrs import evolve

from harness.evidence import AtRest, Evidence, LogLine
from harness.tests.doctoring import CRASHING, GOOD, played, relogged
from harness.tests.planted import planted


def _left(edit: Callable[[AtRest], AtRest]) -> Callable[[], Evidence]:
    """Something else is left at rest."""
    return lambda: evolve(played(GOOD), at_rest=edit(played(GOOD).at_rest))


def _said(program: str, text: str, **fields: object) -> Evidence:
    """A program's first line says this as well."""

    def edit(lines: list[LogLine]) -> list[LogLine]:
        return [{**lines[0], "detail": text, **fields}, *lines[1:]]

    return relogged(played(GOOD), program, edit)


def _stumbled(plan: str, program: str, request: str) -> Evidence:
    """A program met with something it had not foreseen."""
    line = {
        "level": "error",
        "event": "call failed",
        "request_id": request,
        "exception": "KeyError",
    }
    return relogged(played(plan), program, lambda lines: [*lines, line])


PLANTED: Final = (
    planted("nothing_is_left", "tasks that were not there before: relay",
            _left(lambda rest: evolve(rest, tasks_more=("relay",)))),
    planted("nothing_is_left", "qs still holds 2 requests",
            _left(lambda rest: evolve(rest, busy={"bff": 0, "qs": 2, "llmgw": 0}))),
    planted("nothing_is_left", "llmgw counts 1 upstream streams",
            _left(lambda rest: evolve(rest, open_upstreams={"bff": 0.0, "qs": 0.0, "llmgw": 1.0}))),
    planted("nothing_is_left", "connections still served: model",
            _left(lambda rest: evolve(rest, connections=("model",)))),
    planted("nothing_is_left", "1 connections of a client's pool are in use",
            _left(lambda rest: evolve(rest, pooled=1))),
    planted("chain_recovers", "the call after the faults ended in HOP_TIMEOUT",
            lambda: evolve(played(GOOD), recovered="HOP_TIMEOUT")),
    planted("logs_carry_no_content", "bff logged 'zarquon' with 'call ended'",
            lambda: _said("bff", "about zarquon")),
    planted("logs_carry_no_content", "qs logged 'zarquon' with 'call ended'",
            lambda: _said("qs", "ZARQUON")),
    planted("logs_carry_no_content", "llmgw logged 'The drawer is locked.'",
            lambda: _said("llmgw", "The drawer is locked.")),
    planted("logs_carry_no_content", "llmgw logged \"What did the emperor's cook",
            lambda: _said("llmgw", "q", question=["What did the emperor's cook say about garlic?"])),
    planted("nobody_stumbled", "llmgw: call failed: KeyError",
            lambda: _stumbled(GOOD, "llmgw", "call-0")),
    planted("nobody_stumbled", "bff: call failed: KeyError",
            lambda: _stumbled(CRASHING, "bff", "call-0")),
    planted("nobody_stumbled", "qs: call failed: KeyError",
            lambda: _stumbled(CRASHING, "qs", "call-1")),
)  # fmt: skip
