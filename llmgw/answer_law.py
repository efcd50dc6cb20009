"""The one shape a reply's object may have, as a table; citations and answer in either order.

`answer` walks it. There is no recursion in it, because nothing in a valid reply nests further.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from attrs import frozen

from contracts.reasons import ReasonCode


class Place(Enum):
    """Where in the object the scanner stands: what it has just read."""

    START = auto()
    KEY = auto()
    CITATIONS_KEY = auto()
    CITATIONS_COLON = auto()
    LIST = auto()
    ITEM = auto()
    ITEM_KEY = auto()
    ID_KEY = auto()
    ID_COLON = auto()
    ID = auto()
    LABEL_KEY = auto()
    LABEL_COLON = auto()
    LABEL = auto()
    ITEM_MEMBER = auto()
    ITEM_COMMA = auto()
    ITEM_OVER = auto()
    LIST_COMMA = auto()
    LIST_OVER = auto()
    ANSWER_KEY = auto()
    ANSWER_COLON = auto()
    ANSWER = auto()
    MEMBER = auto()
    COMMA = auto()
    OVER = auto()


# The one shape: what may follow, outside strings. Any other character is a fault.
LAW: Final[Mapping[Place, Mapping[str, Place]]] = {
    Place.START: {'"': Place.KEY, "}": Place.OVER},
    Place.CITATIONS_KEY: {":": Place.CITATIONS_COLON},
    Place.CITATIONS_COLON: {"[": Place.LIST},
    Place.LIST: {"{": Place.ITEM, "]": Place.LIST_OVER},
    Place.ITEM: {'"': Place.ITEM_KEY, "}": Place.ITEM_OVER},
    Place.ID_KEY: {":": Place.ID_COLON},
    Place.ID_COLON: {'"': Place.ID},
    Place.LABEL_KEY: {":": Place.LABEL_COLON},
    Place.LABEL_COLON: {'"': Place.LABEL},
    Place.ITEM_MEMBER: {",": Place.ITEM_COMMA, "}": Place.ITEM_OVER},
    Place.ITEM_COMMA: {'"': Place.ITEM_KEY},
    Place.ITEM_OVER: {",": Place.LIST_COMMA, "]": Place.LIST_OVER},
    Place.LIST_COMMA: {"{": Place.ITEM},
    Place.LIST_OVER: {",": Place.COMMA, "}": Place.OVER},
    Place.ANSWER_KEY: {":": Place.ANSWER_COLON},
    Place.ANSWER_COLON: {'"': Place.ANSWER},
    Place.MEMBER: {",": Place.COMMA, "}": Place.OVER},
    Place.COMMA: {'"': Place.KEY},
}
# Values that are never right, but for a label that is null: those whose first character shows
# them, and those that have to go on as JSON does before they are more than a stray word.
WHOLE_AT_ONCE: Final = frozenset('{["0123456789')
GOES_ON: Final = {
    "t": tuple("rue"),
    "f": tuple("alse"),
    "n": tuple("ull"),
    "-": ("0123456789",),
}
# Where a value is due: the code of one that is JSON, but not of the right type.
WRONG_TYPE: Final = {
    Place.CITATIONS_COLON: ReasonCode.CITATIONS_MALFORMED,
    Place.LIST: ReasonCode.CITATIONS_MALFORMED,
    Place.LIST_COMMA: ReasonCode.CITATIONS_MALFORMED,
    Place.ID_COLON: ReasonCode.CITATIONS_MALFORMED,
    Place.LABEL_COLON: ReasonCode.CITATIONS_MALFORMED,
    Place.ANSWER_COLON: ReasonCode.OUTPUT_SCHEMA_MISMATCH,
}


@frozen
class Words:
    """A string that must be a word of a closed set."""

    leads: Mapping[str, Place]
    otherwise: ReasonCode


KEYS: Final[Mapping[Place, Words]] = {
    Place.KEY: Words(
        {"citations": Place.CITATIONS_KEY, "answer": Place.ANSWER_KEY},
        ReasonCode.OUTPUT_SCHEMA_MISMATCH,
    ),
    Place.ITEM_KEY: Words(
        {"chunk_id": Place.ID_KEY, "title": Place.LABEL_KEY, "url": Place.LABEL_KEY},
        ReasonCode.CITATIONS_MALFORMED,
    ),
}
STRINGS: Final = frozenset((*KEYS, Place.ID, Place.LABEL, Place.ANSWER))

assert set(Place) == {*LAW, *STRINGS, Place.OVER}, "every place but the last has its row"
