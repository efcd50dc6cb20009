"""What two answers must share to be of one dialect: everything but what a model made up.

The shape of JSON is its keys in their order and the types of its values; where a value is a word
of the protocol, the word itself.
"""

import json
from collections.abc import Mapping
from itertools import groupby

from attrs import frozen

# Their values are the protocol's, not the model's.
WORDS = ("object", "role", "type", "finish_reason", "owned_by")
COMPARED_HEADERS = (
    "content-type",
    "server",
    "access-control-allow-origin",
    "x-accel-buffering",
    "transfer-encoding",
)


@frozen
class Answer:
    """One response; header names are lower-case, the body is without its chunks."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def shape(value: object) -> object:
    """The shape of a JSON value; lists show each shape once, in the order of appearance."""
    if isinstance(value, dict):
        return [(key, each if key in WORDS else shape(each)) for key, each in value.items()]
    if isinstance(value, list):
        return [next(group) for _, group in groupby(shape(each) for each in value)]
    return type(value).__name__


def shape_of_answer(answer: Answer) -> object:
    """Status, the headers that count, whether the connection ends, and the body's shape."""
    headers = [(name, answer.headers.get(name)) for name in COMPARED_HEADERS]
    closes = answer.headers.get("connection") == "close"
    streamed = answer.headers["content-type"].startswith("text/event-stream")
    body = shape_of_stream(answer.body) if streamed else shape(json.loads(answer.body))
    return answer.status, headers, closes, body


def shape_of_stream(body: bytes) -> object:
    """The shape of each event, once where it comes again and again; comments are left out."""
    *events, rest = body.split(b"\n\n")
    shapes = [_shape_of_event(event) for event in events if not event.startswith(b":")]
    return [each for each, _ in groupby(shapes)], rest


def _shape_of_event(event: bytes) -> object:
    field, _, data = event.partition(b": ")
    return field, data if data == b"[DONE]" else shape(json.loads(data))
