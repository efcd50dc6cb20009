"""Goal: vectors are those of a real model in all that can be checked without one.

Method: texts and bodies in, vectors and Refusals out.
"""

import base64
import json
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.openai_compat_server.embeddings import (
    DIMENSIONS,
    EmbeddingRequest,
    embedding_body,
    parse_embedding,
    unit_vector,
)
from fakes.openai_compat_server.json_fields import Refusal


def asked(text: object, **fields: object) -> EmbeddingRequest:
    return parse_embedding(json.dumps({"model": "m", "input": text, **fields}).encode())


def vectors(request: EmbeddingRequest) -> list[object]:
    data = embedding_body(request, 1)["data"]
    assert isinstance(data, list)
    return [item["embedding"] for item in data]


def likeness(one: str, other: str) -> float:
    return sum(a * b for a, b in zip(unit_vector(one), unit_vector(other), strict=True))


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(codec="utf-8")), st.integers(1, DIMENSIONS))
def test_a_vector_is_one_long_and_always_the_same(text: str, dimensions: int) -> None:
    vector = unit_vector(text, dimensions)
    assert len(vector) == dimensions
    assert math.hypot(*vector) == pytest.approx(1.0)
    assert vector == unit_vector(text, dimensions)


def test_texts_lie_near_each_other_when_they_share_words() -> None:
    text = "which package does a file belong to"
    near, far = "The file belongs to a package.", "Kernel modules load at boot."
    assert likeness(text, near) > likeness(text, far) + 0.2
    assert likeness("a b", "b a") < 1.0


def test_both_encodings_carry_the_same_numbers() -> None:
    floats, packed = asked("hello"), asked("hello", encoding_format="base64")
    (text,) = vectors(packed)
    assert isinstance(text, str)
    numbers = struct.unpack(f"<{DIMENSIONS}f", base64.b64decode(text))
    (listed,) = vectors(floats)
    assert isinstance(listed, list)
    assert struct.pack(f"<{DIMENSIONS}f", *listed) == struct.pack(f"<{DIMENSIONS}f", *numbers)


def test_a_list_is_answered_in_its_order() -> None:
    body = embedding_body(asked(["a", "b", [1, 2, 3]], dimensions=8), 9)
    assert (body["object"], body["model"]) == ("list", "m")
    assert body["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    assert (
        vectors(asked(["a", "b"], dimensions=8))
        == vectors(asked(["a", "b", [1]], dimensions=8))[:2]
    )
    assert asked([[1, 2, 3], "b"]).token_counts == (3, None)


@pytest.mark.parametrize("text", ["hi", ["hi"]])
def test_one_text_may_stand_alone_or_in_a_list(text: object) -> None:
    assert vectors(asked(text, dimensions=3)) == vectors(asked("hi", dimensions=3))


def test_token_numbers_may_stand_alone() -> None:
    assert vectors(asked([5, 6], dimensions=3)) == vectors(asked([[5, 6]], dimensions=3))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", None]}, "input[1]"),
        ({"input": ["a", [1.5]]}, "input[1]"),
        ({"input": ["a"] * 2_049}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": DIMENSIONS + 1}, "dimensions"),
        ({"dimensions": "8"}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"encoding_format": 1}, "encoding_format"),
    ],
)
def test_the_parameter_is_named_when_it_is_refused(fields: dict[str, object], param: str) -> None:
    with pytest.raises(Refusal) as refused:
        asked("a", **fields)
    assert refused.value.param == param
