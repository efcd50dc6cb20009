"""A response given byte for byte: as Python, as the fields of a file, as a line for a person.

For what no scenario says: a recorded trace of a server that misbehaves, or one exact body.

    raw(b"HTTP/1.1 200 OK\\r\\ncontent-length: 9\\r\\n\\r\\n{", 0.5, b'"a"', ending=Ending.RESET)

is in a script's file, with `{ hex = "ff fe" }` or `{ base64 = "//4=" }` for what is no text,

    { send = ["HTTP/1.1 200 OK\\r\\ncontent-length: 9\\r\\n\\r\\n{", 0.5, '"a"'], ending = "reset" }
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from fakes.openai_compat_server.plan import Ending, Plan, Step

PAUSE_MAX_S: Final = 3600.0
_NAME: Final = "raw"  # in the journal, where others have their scenario's
_HEAD: Final = re.compile(rb"(?:\A|\r\n\r\n)HTTP/1\.[01] ([1-9][0-9]{2})(?![0-9])")
_SWITCHING: Final = 101  # the one status under 200 after which no other head comes
_PARTS: Final = 'expected text, seconds, { hex = "…" } or { base64 = "…" }'
_BINARY: Final[Mapping[str, Callable[[str], bytes]]] = {
    "hex": bytes.fromhex,
    "base64": lambda text: base64.b64decode(text, validate=True),
}


class RawFault(ValueError):
    """What is wrong, and where: keys and positions, from the response's own fields on."""

    def __init__(self, place: tuple[str | int, ...], why: str) -> None:
        super().__init__(why)
        self.place = place


def raw(*parts: bytes | float, ending: Ending = Ending.KEEP) -> Plan:
    """The response of exactly these bytes, for a rule to play where it would name a scenario.

    Each bytes are a write of their own; each number is a pause, in seconds, before what follows.
    The connection is kept unless `ending` says otherwise, so a client waits on for what a body
    that is cut short, or only ends with its connection, still lacks. TypeError for any other part,
    ValueError for a pause that is negative or over an hour.
    """
    steps: list[Step] = []
    pause_s = 0.0
    for part in parts:
        if isinstance(part, bytes):
            steps.append(Step(pause_s, part))
            pause_s = 0.0
        elif isinstance(part, bool) or not isinstance(part, int | float):
            raise TypeError(f"{part!r} is neither bytes nor seconds")
        elif not 0 <= part <= PAUSE_MAX_S - pause_s:
            raise ValueError(f"a pause of {pause_s + part:g} s is not one of 0 to {PAUSE_MAX_S:g}")
        else:
            pause_s += part
    if pause_s:
        steps.append(Step(pause_s, b""))
    status = _claimed(b"".join(step.data for step in steps))
    return Plan(status, tuple(steps), ending, scenario=_NAME)


def raw_of(fields: Mapping[str, object]) -> Plan:
    """The response that `send` and `ending` give in a file; raises RawFault."""
    for key in fields:
        if key not in ("send", "ending"):
            raise RawFault((key,), "unknown key (known are send, ending)")
    given = fields.get("send")
    if not isinstance(given, list):
        raise RawFault(("send",), "expected an array of what to send")
    parts = [_part(part, at) for at, part in enumerate(given)]
    ending = _ending(fields.get("ending", "keep"))
    try:
        return raw(*parts, ending=ending)
    except ValueError as fault:
        raise RawFault(("send",), str(fault)) from None


def raw_fields(plan: Plan) -> dict[str, object]:
    """What `raw_of` reads as the same steps and ending."""
    return {"send": list(_parts(plan)), "ending": plan.ending.name.lower()}


def raw_line(plan: Plan) -> str:
    """For a person: `raw 200 (57 bytes, then reset)`."""
    status = f" {plan.status}" if plan.status else ""
    ending = "" if plan.ending is Ending.KEEP else f", then {plan.ending.name.lower()}"
    return f"{_NAME}{status} ({plan.size_bytes} bytes{ending})"


def _claimed(data: bytes) -> int:
    """The status of the first head that is not interim; 0 where the bytes have none."""
    statuses = (int(found[1]) for found in _HEAD.finditer(data))
    return next((it for it in statuses if it >= 200 or it == _SWITCHING), 0)


def _part(given: object, at: int) -> bytes | float:
    place = ("send", at)
    match given:
        case str():
            return given.encode()
        case bool():
            raise RawFault(place, _PARTS)
        case int() | float():
            if not 0 <= given <= PAUSE_MAX_S:
                raise RawFault(place, f"expected seconds from 0 to {PAUSE_MAX_S:g}")
            return given
        case dict() if len(given) == 1:
            [(kind, text)] = given.items()
            if kind in _BINARY and isinstance(text, str):
                return _decoded(kind, text, place)
    raise RawFault(place, _PARTS)


def _decoded(kind: str, text: str, place: tuple[str | int, ...]) -> bytes:
    try:
        return _BINARY[kind](text)
    except ValueError as fault:
        raise RawFault((*place, kind), str(fault)) from None


def _ending(given: object) -> Ending:
    for ending in Ending:
        if given == ending.name.lower():
            return ending
    known = ", ".join(ending.name.lower() for ending in Ending)
    raise RawFault(("ending",), f"expected one of {known}")


def _parts(plan: Plan) -> Iterator[object]:
    for step in plan.steps:
        if step.delay_s:
            yield step.delay_s
        try:
            yield step.data.decode()
        except UnicodeDecodeError:
            yield {"base64": base64.b64encode(step.data).decode()}
