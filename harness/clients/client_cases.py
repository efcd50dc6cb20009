"""What all three clients are asked, and what must come of it."""

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


def is_weather(arguments: object) -> bool:
    """Whether the arguments meet the schema."""
    if not isinstance(arguments, dict) or arguments.keys() != {"city", "unit", "days"}:
        return False
    return (
        isinstance(arguments["city"], str)
        and arguments["unit"] in ("celsius", "fahrenheit")
        and 1 <= arguments["days"] <= 14
    )
