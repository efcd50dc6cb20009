"""Whether a model server holds its model to a JSON Schema: the question, and what the reply says.

The question asks for a greeting and says nothing of JSON, so a reply that begins as our object can
only come of the schema; no more of it is read than tells. It is asked with `maxLength` on the
answer first, which some servers refuse or drop the whole grammar over, and then without. The
finding decides what is sent, never what is believed: every reply is validated all the same.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

from llmgw.prompt import reply_schema
from llmgw.providers.port import ModelCall, PromptMessage

# Latin script, nearly; the rest of the reply is left its share.
_CHARS_PER_TOKEN: Final = 3
_PROBE_TOKENS: Final = 512
# By then a reply has begun as asked, or never will.
_TELLING_CHARS: Final = 64
_BEGINS_AS_ASKED: Final = re.compile(r'\s*\{\s*"citations"\s*:')


class Finding(Enum):
    """What is known of the server and its model; the value is the word for `/ready`."""

    UNKNOWN = "not known yet: a schema is sent, without maxLength"
    ENFORCED_WITH_LENGTH = "enforced, maxLength is taken"
    ENFORCED = "enforced, maxLength is not taken"
    IGNORED = "ignored: by prompt only"
    REFUSED = "refused: by prompt only"
    OFF = "turned off: by prompt only"


_SCHEMA_IS_SENT: Final = {Finding.UNKNOWN, Finding.ENFORCED_WITH_LENGTH, Finding.ENFORCED}


def schema_by(
    finding: Finding, alias_count: int, max_tokens: int, answer_chars: int
) -> Mapping[str, object] | None:
    """The schema to send for a reply over so many passages; None where the prompt must do."""
    if finding not in _SCHEMA_IS_SENT:
        return None
    if finding is not Finding.ENFORCED_WITH_LENGTH:
        return reply_schema(alias_count)
    return reply_schema(alias_count, min(answer_chars, max_tokens * _CHARS_PER_TOKEN))


def preload_call(model: str) -> ModelCall:
    """The least that makes a server load a model."""
    return ModelCall(model, (PromptMessage("user", "Hello."),), 1, 0.0, stream=False, schema=None)


def probe_call(model: str, answer_chars: int | None, *, stream: bool) -> ModelCall:
    """The question that only a schema makes answer in JSON; `answer_chars` None: no maxLength."""
    asked = PromptMessage("user", "Say hello to me in one short sentence.")
    schema = reply_schema(1, answer_chars)
    return ModelCall(model, (asked,), _PROBE_TOKENS, 0.0, stream=stream, schema=schema)


def tells(text: str) -> bool:
    """Whether so much of the reply to a probe decides `is_held`."""
    return is_held(text) or len(text) >= _TELLING_CHARS


def is_held(text: str) -> bool:
    """Whether the reply to a probe shows that the schema was enforced."""
    return _BEGINS_AS_ASKED.match(text) is not None
