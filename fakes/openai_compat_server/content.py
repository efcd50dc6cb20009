"""The content catalogue: every way a model is known to write an answer, by name.

`CONTENT[name].apply(answer, draw)` gives the text the model writes instead of `valid_json(answer)`,
and `CONTENT[name].ends` the reason code that the text must end in (CONTRACT §7), or `ok`, plain
and streamed alike: the text is the whole content of the choice and its `finish_reason` is `stop`,
for a cut that the server reports is another fault.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fakes.openai_compat_server.content_around import AROUND
from fakes.openai_compat_server.content_citations import CITED
from fakes.openai_compat_server.content_cuts import CUTS_AND_BLANKS
from fakes.openai_compat_server.content_grammar import GRAMMAR
from fakes.openai_compat_server.content_operator import (
    OK,
    ContentOperator,
    ValidAnswer,
    stand_in,
    valid_json,
)
from fakes.openai_compat_server.content_shape import SHAPE
from fakes.openai_compat_server.content_text import TEXT
from fakes.openai_compat_server.content_unicode import UNICODE
from fakes.openai_compat_server.content_values import VALUES

__all__ = ["CONTENT", "OK", "ContentOperator", "ValidAnswer", "stand_in", "valid_json"]

_ALL: Final = (*AROUND, *GRAMMAR, *CUTS_AND_BLANKS, *UNICODE, *SHAPE, *VALUES, *CITED, *TEXT)

CONTENT: Final[Mapping[str, ContentOperator]] = MappingProxyType(
    {operator.name: operator for operator in _ALL}
)

assert len(CONTENT) == len(_ALL), "no two operators have one name"
