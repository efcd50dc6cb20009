"""What can go wrong with the JSON of an answer, and what its choice can end in but `stop`.

These change objects. A plain answer is one object whose choice holds a `message`; a frame's holds
a `delta`.
"""

from collections.abc import Callable, Mapping
from typing import cast

from attrs import evolve

from contracts.reasons import ReasonCode
from fakes.openai_compat_server.dialects import JsonObject
from fakes.openai_compat_server.faults_sse import with_delta
from fakes.openai_compat_server.scenario import (
    OK,
    Ends,
    Frame,
    Frames,
    Play,
    Scenario,
    Stage,
    both,
    only_streaming,
)

_CALL = {
    "id": "call_0",
    "type": "function",
    "function": {"name": "look_up", "arguments": "{}"},
}
_REFUSAL = "I can not help with that."
_Choice = dict[str, object]
_ChoiceChange = Callable[[_Choice], _Choice]


def choices_of(payload: JsonObject) -> list[_Choice]:
    return cast(list[_Choice], payload.get("choices", []))


def _each_choice(change: _ChoiceChange) -> Stage[Frames]:
    """The same done to each choice of each frame."""

    def done(_: Play, frames: Frames) -> Frames:
        return tuple(
            evolve(
                frame,
                payload={
                    **frame.payload,
                    "choices": [change(dict(c)) for c in choices_of(frame.payload)],
                },
            )
            for frame in frames
        )

    return done


def _held(choice: _Choice) -> tuple[str, dict[str, object]]:
    """Where the choice's words stand, and they."""
    name = "message" if "message" in choice else "delta"
    return name, dict(cast(Mapping[str, object], choice[name]))


def _finishing(reason: str | None) -> _ChoiceChange:
    def finish(choice: _Choice) -> _Choice:
        return {**choice, "finish_reason": reason if choice["finish_reason"] else None}

    return finish


def _reasoning(choice: _Choice) -> _Choice:
    name, held = _held(choice)
    if not held.get("content"):
        return choice
    return {**choice, name: {**held, "reasoning_content": held["content"], "content": None}}


def _without_role(choice: _Choice) -> _Choice:
    name, held = _held(choice)
    held.pop("role", None)
    return {**choice, name: held}


def _second(choice: _Choice) -> _Choice:
    return {**choice, "index": 1}


def _said_instead(instead: Mapping[str, object], reason: str) -> _ChoiceChange:
    """Nothing in words; what is said instead stands where the choice finishes."""

    def say(choice: _Choice) -> _Choice:
        name, held = _held(choice)
        if "content" in held:
            held["content"] = None
        if not choice["finish_reason"]:
            return {**choice, name: held}
        return {**choice, name: {**held, **instead}, "finish_reason": reason}

    return say


def _calling(choice: _Choice) -> _Choice:
    """A stream's calls are numbered, for their pieces to find together."""
    numbered = {"index": 0} if "delta" in choice else {}
    return _said_instead({"tool_calls": [{**numbered, **_CALL}]}, "tool_calls")(choice)


def _content_after_finish(play: Play, frames: Frames) -> Frames:
    if not play.stream:
        return frames
    at = finish_of(frames)
    extra = Frame(0.0, with_delta(frames[at].payload, {"content": " And"}))
    return (*frames[: at + 1], extra, *frames[at + 1 :])


def finish_of(frames: Frames) -> int:
    """The place of the frame with the `finish_reason`; the end where there is none."""
    for at, frame in enumerate(frames):
        if any(choice.get("finish_reason") for choice in choices_of(frame.payload)):
            return at
    return len(frames)


def _no_choices(play: Play, frames: Frames) -> Frames:
    first, *rest = frames
    empty = {**first.payload, "choices": []}
    return (Frame(first.delay_s, empty), *([evolve(first, delay_s=0.0), *rest] * play.stream))


def _null_content(play: Play, frames: Frames) -> Frames:
    if not play.stream:
        return _each_choice(_said_instead({}, "stop"))(play, frames)
    first, *rest = frames
    null = Frame(first.delay_s, with_delta(first.payload, {"content": None}))
    return (null, evolve(first, delay_s=0.0), *rest)


def _changing_ids(play: Play, frames: Frames) -> Frames:
    if not play.stream:
        return frames
    return tuple(
        evolve(frame, payload={**frame.payload, "id": f"chatcmpl-{at}"})
        for at, frame in enumerate(frames)
    )


def _usage(change: Callable[[JsonObject], JsonObject]) -> Stage[Frames]:
    return lambda _, frames: tuple(evolve(f, payload=change(f.payload)) for f in frames)


def _without_usage(payload: JsonObject) -> JsonObject:
    return {key: value for key, value in payload.items() if key != "usage"}


def _small_usage(payload: JsonObject) -> JsonObject:
    usage = payload.get("usage")
    if not isinstance(usage, dict):
        return payload
    return {**payload, "usage": {**usage, "prompt_tokens": 1}}


def _usage_gone(play: Play, frames: Frames) -> Frames:
    """Neither the key nor, in a stream, the frame that is there for it."""
    kept = tuple(frame for frame in frames if choices_of(frame.payload))
    return _usage(_without_usage)(play, kept)


FRAMES = (
    Scenario("no-finish", "no `finish_reason`, though `[DONE]` comes",
             both(ReasonCode.PROVIDER_NO_FINISH), frames=_each_choice(_finishing(None))),
    Scenario("content-after-finish", "a word after the `finish_reason`",
             only_streaming(ReasonCode.PROVIDER_INVALID_SHAPE), frames=_content_after_finish),
    Scenario("finish-length", "the whole answer, and `finish_reason: length`",
             both(ReasonCode.OUTPUT_TRUNCATED), frames=_each_choice(_finishing("length"))),
    Scenario("finish-content-filter", "the whole answer, and `finish_reason: content_filter`",
             both(ReasonCode.OUTPUT_CONTENT_FILTER),
             frames=_each_choice(_finishing("content_filter"))),
    Scenario("finish-unknown", "the whole answer, and a `finish_reason` nobody knows",
             both(ReasonCode.PROVIDER_INVALID_SHAPE), frames=_each_choice(_finishing("tired"))),
    Scenario("refusal", "a `refusal` in the place of content", both(ReasonCode.OUTPUT_REFUSAL),
             frames=_each_choice(_said_instead({"refusal": _REFUSAL}, "stop"))),
    Scenario("tool-call", "a tool call in the place of content",
             both(ReasonCode.OUTPUT_TOOL_CALL),
             frames=_each_choice(_calling)),
    Scenario("no-content", "a good end, and not a word before it", both(ReasonCode.OUTPUT_EMPTY),
             frames=_each_choice(_said_instead({}, "stop"))),
    Scenario("no-choices", "`choices: []`: in a frame before the first, or as the plain answer",
             Ends(ReasonCode.PROVIDER_INVALID_SHAPE, OK), frames=_no_choices),
    Scenario("null-content", "`content: null`: in a frame before the first, or as the plain answer",
             Ends(ReasonCode.OUTPUT_EMPTY, OK), frames=_null_content),
    Scenario("index-1", "the one choice has the index 1", both(ReasonCode.PROVIDER_INVALID_SHAPE),
             frames=_each_choice(_second)),
    Scenario("no-role", "no `role` anywhere", both(OK), frames=_each_choice(_without_role)),
    Scenario("only-reasoning", "all the text in a reasoning field",
             both(ReasonCode.OUTPUT_ONLY_REASONING), frames=_each_choice(_reasoning)),
    Scenario("changing-ids", "each frame under another id", only_streaming(OK),
             frames=_changing_ids),
    Scenario("no-usage", "no `usage`, though it was asked for", both(OK), frames=_usage_gone),
    Scenario("small-usage", "`usage` of a prompt of one token: the rest was dropped in silence",
             both(ReasonCode.PROVIDER_PROMPT_TRUNCATED), frames=_usage(_small_usage)),
)  # fmt: skip
