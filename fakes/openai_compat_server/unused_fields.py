"""Fields without effect here, whose wrong use the real API refuses, and in the same words.

The codes are OpenAI's: `invalid_type`, `decimal_above_max_value` and their like.
"""

from collections.abc import Mapping

from fakes.openai_compat_server.json_fields import (
    Fields,
    Refusal,
    boolean,
    is_object,
    wrong_type,
    wrong_value,
)

_NUMBERS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
_BOOLEANS = ("logprobs", "store")
_STRINGS = ("user", "service_tier", "safety_identifier", "prompt_cache_key")
_OBJECTS = ("metadata", "logit_bias")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_TOP_LOGPROBS_MAX = 20
_BIAS_MAX = 100


def check_unused(fields: Fields) -> None:
    """What both faces that answer in words have in common; raises Refusal."""
    _one_choice(fields.get("n"))
    for name, (low, high) in _NUMBERS.items():
        _number(fields.get(name), name, low, high)
    if (seed := fields.get("seed")) is not None and type(seed) is not int:
        raise wrong_type("seed", "an integer", seed)
    for name in _STRINGS:
        if fields.get(name) is not None and not isinstance(fields[name], str):
            raise wrong_type(name, "a string", fields[name])
    for name in _OBJECTS:
        if fields.get(name) is not None and not is_object(fields[name]):
            raise wrong_type(name, "an object", fields[name])
    bias = fields.get("logit_bias")
    for token, value in bias.items() if is_object(bias) else ():
        _number(value, f"logit_bias.{token}", -_BIAS_MAX, _BIAS_MAX)


def check_unused_in_chat(fields: Fields) -> None:
    """What only a chat has; `logprobs` is a number in the older face."""
    for name in _BOOLEANS:
        boolean(fields, name)
    top = fields.get("top_logprobs")
    if top is not None and type(top) is not int:
        raise wrong_type("top_logprobs", "an integer", top)
    _number(top, "top_logprobs", 0, _TOP_LOGPROBS_MAX)
    if top is not None and not fields.get("logprobs"):
        message = "'top_logprobs' is only allowed when 'logprobs' is enabled."
        raise Refusal(message, "top_logprobs")
    effort = fields.get("reasoning_effort")
    if effort is not None and effort not in _EFFORTS:
        raise wrong_value("reasoning_effort", f"one of {', '.join(_EFFORTS)}")
    if fields.get("functions") is not None and not isinstance(fields["functions"], list):
        raise wrong_type("functions", "an array", fields["functions"])


def _one_choice(n: object) -> None:
    if n is None:
        return
    if type(n) is not int:
        raise wrong_type("n", "an integer", n)
    if n != 1:
        code = "integer_below_min_value" if n < 1 else "integer_above_max_value"
        message = "Invalid value for 'n': this server gives one choice, so n must be 1."
        raise Refusal(message, "n", code)


def _number(value: object, where: str, low: float, high: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(where, "a number", value)
    if low <= value <= high:
        return
    kind = "integer" if type(value) is int else "decimal"
    side, sign, bound = ("below_min", ">=", low) if value < low else ("above_max", "<=", high)
    told = "below minimum" if value < low else "above maximum"
    message = f"Invalid '{where}': {kind} {told} value. Expected a value {sign} {bound}, "
    raise Refusal(f"{message}but got {value} instead.", where, f"{kind}_{side}_value")
