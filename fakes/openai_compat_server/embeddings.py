"""`POST /v1/embeddings`: a unit vector for each text, the same for the same text, always.

Texts that share words lie near each other, so that a search over them finds something. Refuses what
the real API refuses: empty texts, more than 2,048 of them, dimensions the vector does not have.
"""

import base64
import hashlib
import math
import re
import struct
from collections.abc import Mapping, Sequence

from attrs import frozen

from fakes.openai_compat_server.json_fields import (
    Fields,
    Refusal,
    count,
    model_name,
    object_in,
    required,
    wrong_type,
)

DIMENSIONS = 1_536
_INPUTS_MAX = 2_048
_ENCODINGS = ("float", "base64")
_WORD = re.compile(r"\w+")
# Each word points somewhere in a few of the dimensions; what is left tells texts without a word,
# and texts of the same words, apart.
_PLACES_PER_WORD = 8
_REST_WEIGHT = 0.02


@frozen
class EmbeddingRequest:
    """The texts; one that came as token numbers is those numbers, written out."""

    model: str
    texts: tuple[str, ...]
    token_counts: tuple[int | None, ...]  # where the client has counted
    encoding: str
    dimensions: int


def parse_embedding(body: bytes) -> EmbeddingRequest:
    """The request in `body`; raises Refusal."""
    fields = object_in(body)
    given = _inputs(required(fields, "input"))
    return EmbeddingRequest(
        model=model_name(fields),
        texts=tuple(_text(it, where) for where, it in given),
        token_counts=tuple(len(it) if isinstance(it, list) else None for _, it in given),
        encoding=_encoding(fields),
        dimensions=count(fields, "dimensions", DIMENSIONS) or DIMENSIONS,
    )


def embedding_body(asked: EmbeddingRequest, prompt_tokens: int) -> Mapping[str, object]:
    """The list, in the order asked."""
    vectors = [unit_vector(text, asked.dimensions) for text in asked.texts]
    encode = _base64 if asked.encoding == "base64" else _floats
    data = [
        {"object": "embedding", "index": at, "embedding": encode(vector)}
        for at, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    return {"object": "list", "data": data, "model": asked.model, "usage": usage}


def unit_vector(text: str, dimensions: int = DIMENSIONS) -> tuple[float, ...]:
    """Cut to the dimensions and made one long again, as the real models are shortened."""
    vector = [_REST_WEIGHT * (part / 32_767.5 - 1) for part in _noise(text)]
    for word in _WORD.findall(text.casefold()):
        for place, sign in _places(word):
            vector[place] += sign
    kept = vector[:dimensions]
    length = math.hypot(*kept)
    if not length:  # a cut to one dimension whose noise is exactly 0
        return (1.0, *kept[1:])
    return tuple(value / length for value in kept)


def _noise(text: str) -> Sequence[int]:
    """16 bits for each dimension."""
    digest = hashlib.shake_128(text.encode()).digest(2 * DIMENSIONS)
    return struct.unpack(f"<{DIMENSIONS}H", digest)


def _places(word: str) -> list[tuple[int, float]]:
    digest = hashlib.blake2b(word.encode(), digest_size=2 * _PLACES_PER_WORD).digest()
    parts = struct.unpack(f"<{_PLACES_PER_WORD}H", digest)
    return [((part >> 1) % DIMENSIONS, 1.0 if part & 1 else -1.0) for part in parts]


def _floats(vector: Sequence[float]) -> list[float]:
    """Nine digits, which name a 32-bit float exactly: both encodings say the same."""
    return [float(f"{value:.9g}") for value in _single(vector)]


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _single(vector: Sequence[float]) -> Sequence[float]:
    shape = f"<{len(vector)}f"
    return struct.unpack(shape, struct.pack(shape, *vector))


def _inputs(given: object) -> list[tuple[str, object]]:
    """Each text or list of tokens, and where it stands."""
    if isinstance(given, str) or _is_tokens(given):
        return [("input", given)]
    if not isinstance(given, list):
        raise wrong_type("input", "a string or an array", given)
    if not 1 <= len(given) <= _INPUTS_MAX:
        raise Refusal(f"Invalid 'input': expected 1 to {_INPUTS_MAX} items.", "input")
    return [(f"input[{at}]", item) for at, item in enumerate(given)]


def _text(given: object, where: str) -> str:
    if isinstance(given, str) and given:
        return given
    if isinstance(given, list) and _is_tokens(given):
        return " ".join(map(str, given))
    if isinstance(given, str):
        raise Refusal(f"Invalid '{where}': input cannot be an empty string.", where)
    raise wrong_type(where, "a string or an array of tokens", given)


def _is_tokens(given: object) -> bool:
    return isinstance(given, list) and bool(given) and all(type(it) is int for it in given)


def _encoding(fields: Fields) -> str:
    encoding = fields.get("encoding_format")
    if encoding is None:
        return "float"
    if not isinstance(encoding, str) or encoding not in _ENCODINGS:
        where = "encoding_format"
        raise Refusal(f"Invalid value for '{where}': expected float or base64.", where)
    return encoding
