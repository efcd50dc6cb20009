"""One call of each kind to each dialect, as the bytes that answer it.

`python -m fakes.openai_compat_server.tests.golden_traces` writes them to `golden/`, for whoever
meant to change them; `test_dialects.py` holds the code against the files.
"""

from collections.abc import Iterator
from pathlib import Path

from fakes.openai_compat_server import Behaviour, HttpRequest, plan_response
from fakes.openai_compat_server.dialects import DIALECTS, Completion, Dialect
from fakes.openai_compat_server.tests.fake_client import chat, posted, tool

GOLDEN = Path(__file__).parent / "golden"
# What JSON writers disagree on: quotes, what HTML minds, letters beyond ASCII.
SAID = 'Say "ä" & <b>二</b>'
LOOK_UP = {
    "type": "object",
    "properties": {"words": {"const": SAID}},
    "required": ["words"],
    "additionalProperties": False,
}
DONE = Completion("chatcmpl-1", 1, "m", ("one", " two"), "stop", 5, 2)


def answered(dialect: Dialect, request: HttpRequest) -> bytes:
    """Every byte of the response, without its delays."""
    plan = plan_response(Behaviour(seed=7, persona="echo", dialect=dialect), request)
    return b"".join(step.data for step in plan.steps)


def traces(dialect: Dialect) -> Iterator[tuple[str, bytes]]:
    """(file name, bytes) of each kind of call."""
    usage = {"include_usage": True}
    calling = {"tools": [tool("look_up", LOOK_UP), tool("ping", None)]}
    calls = {
        "plain": posted(chat(SAID)),
        "stream": posted(chat(SAID, stream=True, stream_options=usage)),
        "call": posted(chat("look up", **calling)),
        "call_stream": posted(chat("look up", stream=True, **calling)),
        "calls_stream": posted(chat("look up and ping", stream=True, **calling)),
        "bad_request": posted({"model": "m"}),
        "unknown_path": HttpRequest("GET", "/v1/nothing", "1.1", (("host", "x"),), b""),
    }
    for name, request in calls.items():
        yield f"{dialect.name}_{name}.http", answered(dialect, request)
    yield f"{dialect.name}_failure.sse", failed_stream(dialect)


def failed_stream(dialect: Dialect) -> bytes:
    """The events of an answer that breaks after its tokens."""
    frames = [*dialect.opening_frames(DONE, True), *dialect.token_frames(DONE, True)]
    said = b"".join(dialect.event(frame) for frame in frames)
    return said + dialect.failure(DONE, "out of memory at «7»")


if __name__ == "__main__":
    for each in DIALECTS.values():
        for name, data in traces(each):
            (GOLDEN / name).write_bytes(data)
