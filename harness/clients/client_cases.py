"""What all three clients are asked, and what must come of it."""

import json
from urllib.request import urlopen

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
    },
    "required": ["city", "unit", "days"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "a forecast", "parameters": WEATHER},
}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "the time"}}
SCHEMA_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "weather", "strict": True, "schema": WEATHER},
}
# A passage and a question, as the extractive persona finds them in a prompt.
PROMPT = """\
<<<source c1 0123abcd>>>
title: Packages
Run dpkg --search FILE to see which package a file belongs to.
<<<end c1 0123abcd>>>
<<<question 0123abcd>>>
Which package does a file belong to?
<<<end question 0123abcd>>>"""
ANSWER = "Run dpkg --search FILE to see which package a file belongs to. [c1]"
ASK = [{"role": "user", "content": PROMPT}]
# The model may choose, and calls the tools that the user names.
NAMING = "What is the weather in Paris?"
NAMING_BOTH = "Look at the clock, and then at the weather."


def is_weather(arguments: object) -> bool:
    """Whether the arguments meet the schema."""
    if not isinstance(arguments, dict) or arguments.keys() != {"city", "unit", "days"}:
        return False
    return (
        isinstance(arguments["city"], str)
        and arguments["unit"] in ("celsius", "fahrenheit")
        and 1 <= arguments["days"] <= 14
    )


def waited(base: str) -> list[tuple[int, float]]:
    """Each request's status, and the seconds since the one before it began, by the fake's journal.

    For a server that was started with `--admin`. A client begins to wait while the server still
    notes that it has answered, so only the beginnings tell.
    """
    with urlopen(base.removesuffix("/v1") + "/__admin/journal") as reply:  # noqa: S310 - our own
        entries = json.load(reply)["entries"]
    begins = [entry["began_at"] for entry in entries]
    gaps = [at - before for before, at in zip([begins[0], *begins], begins, strict=False)]
    return [(entry["status"], gap) for entry, gap in zip(entries, gaps, strict=True)]


def is_retried_as_told(base: str) -> bool:
    """Whether both refusals of `twice_429` were followed by the wait of a second they asked for."""
    (first, _), (second, wait), (third, last_wait) = waited(base)
    return (first, second, third) == (429, 429, 200) and 1 <= wait < 3 and 1 <= last_wait < 3
