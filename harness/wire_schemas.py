"""Answers as they stand on the wire, held to `contracts/schemas/` and to the order of events.

    whole("chat-response", body)             a body, proved; its JSON
    streamed(content, cited=True)            a whole stream, proved event by event; names and data

The schemas are read from their files by a library that knows nothing of this project, and events
are told apart by one expression, so that no decoder of ours vouches for an encoder of ours.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types
from jsonschema.validators import extend  # type: ignore[import-untyped] # it ships no types

from contracts import schema
from contracts.order import Seen, State, Step, StreamOrder
from contracts.reasons import ReasonCode

Json = dict[str, object]
_FOLDER: Final = Path(schema.__file__).parent / "schemas"
# JSON Schema takes 1.0 for an integer; the contract does not, and neither does this validator.
_STRICT: Final = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: type(value) is int
    ),
)
_VALIDATORS: Final = {
    path.stem: _STRICT(json.loads(path.read_text("utf-8")))
    for path in _FOLDER.iterdir()
    if not path.stem.startswith("openapi-")
}
_PART: Final = re.compile(rb"(?::[^\r\n]*\n\n)|event: (?P<name>\w+)\ndata: (?P<data>[^\r\n]+)\n\n")


class OffTheContract(AssertionError):
    """Bytes on the wire that no schema, or no order of events, allows."""


def whole(name: str, body: bytes) -> Json:
    """A body of this schema, `chat-response` for one. Raises OffTheContract."""
    try:
        value = json.loads(body)
    except ValueError as error:
        raise OffTheContract(f"{name}: {error}: {body[:200]!r}") from None
    found = [
        f"{error.json_path}: {error.message}" for error in _VALIDATORS[name].iter_errors(value)
    ]
    if found:
        raise OffTheContract(f"{name}: {found[:5]}")
    return cast(Json, value)


def streamed(content: bytes, *, cited: bool) -> list[tuple[str, Json]]:
    """The events of a whole stream, in their order. Raises OffTheContract."""
    order, events = StreamOrder(cited), events_of(content)
    for name, data in events:
        order.see(_step(name, data))
    if order.state is not State.CLOSED:
        raise OffTheContract(f"the stream ends in {order.state.name}")
    return events


def events_of(content: bytes) -> list[tuple[str, Json]]:
    """The events of a stream or of its beginning, in any order. Raises OffTheContract."""
    return list(_events(content))


def _events(content: bytes) -> Iterator[tuple[str, Json]]:
    at = 0
    while at < len(content):
        part = _PART.match(content, at)
        if part is None:
            raise OffTheContract(f"no event at byte {at}: {content[at : at + 80]!r}")
        at = part.end()
        if part["name"]:
            name = part["name"].decode()
            yield name, whole(f"event-{name}", part["data"])


def _step(name: str, data: Mapping[str, object]) -> Seen:
    if name == "done":
        ok = data["status"] == "ok"
        code = data["reason_code"]
        assert code is None or isinstance(code, str)
        return Seen(Step.DONE_OK if ok else Step.DONE_FALLBACK, ReasonCode[code] if code else None)
    if name == "error":
        return Seen(Step.ERROR, ReasonCode[str(data["code"])], data["discard"] is True)
    return Seen(Step(name))
