"""Goal: a key is taken exactly when it is one of the list, and nobody can read one anywhere.

Method: lists and presented bytes out of Hypothesis, odd headers one by one; comparing is counted,
not timed.
"""

import hmac
import inspect

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from hop.keys import KEY_CHARS, NAME_HEX, Keys, given, key, keys

USABLE = "".join(chr(code) for code in range(0x21, 0x7F))
KEY = st.text(USABLE.replace(",", ""), min_size=1, max_size=20)
LISTS = st.lists(KEY, min_size=1, max_size=5, unique=True)


@drawn(LISTS, st.data())
def test_each_listed_key_has_a_caller_of_its_own(listed: list[str], data: st.DataObject) -> None:
    taken = keys(",".join(listed))
    names = {taken.caller([one.encode()]) for one in listed}
    assert None not in names
    assert len(names) == len(listed)
    other = keys(" , ".join(data.draw(st.permutations(listed))))
    assert {other.caller([one.encode()]) for one in listed} == names, "in any order"


@drawn(LISTS, st.binary(max_size=30))
def test_nothing_but_a_listed_key_is_taken(listed: list[str], presented: bytes) -> None:
    is_listed = presented in {one.encode() for one in listed}
    assert (keys(",".join(listed)).caller([presented]) is not None) is is_listed


@pytest.mark.parametrize("presented", [[], [b""], [b"one", b"two"], [b"one", b""]])
def test_nobody_is_known_when_no_single_key_is_presented(presented: list[bytes]) -> None:
    assert keys("one,two").caller(presented) is None


def test_same_key_twice_is_one_key() -> None:
    assert keys("one").caller([b"one", b"one"]) == keys("one").caller([b"one"])


@pytest.mark.parametrize("presented", [[], [b"one"], [b"one", b"two"]])
def test_everybody_may_call_when_no_key_is_listed(presented: list[bytes]) -> None:
    assert not keys("")
    assert keys("").caller(presented) == ""


@pytest.mark.parametrize("presented", [b"first", b"third", b"none", b"", b"x" * 8192])
def test_every_key_is_compared_whichever_it_is(presented: bytes) -> None:
    """No early exit, and nothing compared whose length could tell: digests of the same size."""
    compared: list[tuple[bytes, bytes]] = []

    def same(known: bytes, given_: bytes) -> bool:
        compared.append((known, given_))
        return hmac.compare_digest(known, given_)

    keys("first,second,third").caller([presented], same)
    assert len({known for known, _ in compared}) == len(compared) == 3
    assert len({theirs for _, theirs in compared}) == 1
    assert {len(one) for pair in compared for one in pair} == {32}


def test_comparing_is_the_one_made_for_secrets() -> None:
    assert inspect.signature(Keys.caller).parameters["same"].default is hmac.compare_digest


@drawn(LISTS)
def test_no_key_stands_in_what_holds_them(listed: list[str]) -> None:
    long = [f"{one}{'-' * 12}" for one in listed]
    taken = keys(",".join(long))
    assert repr(taken) == f"Keys(_digests={len(long)})", "and no digest either"
    for one in long:
        name = taken.caller([one.encode()])
        assert name is not None
        assert len(name) == NAME_HEX
        assert one not in f"{taken!r} {taken} {name}"
    assert str(taken), "a list is told from none"


# What the headers say.


@pytest.mark.parametrize(
    ("api_keys", "authorizations", "found"),
    [
        ([], [], []),
        (["k"], [], [b"k"]),
        ([""], [], [b""]),
        (["k", "l"], [], [b"k", b"l"]),
        (["a,b"], [], [b"a,b"]),
        (["k"], ["Bearer k"], [b"k", b"k"]),
        ([], ["bearer k"], [b"k"]),
        ([], ["BEARER   k"], [b"k"]),
        ([], ["Bearer"], [b""]),
        ([], ["Bearer a b"], [b"a b"]),
        ([], ["Bearer\tk"], []),
        ([], ["Bearerk"], []),
        ([], ["k"], []),
        ([], ["Basic dTpw"], []),
        (["k"], ["Basic dTpw"], [b"k"]),
        ([], ["Bearer k", "Basic dTpw", "Bearer l"], [b"k", b"l"]),
        (["\xe9\xff"], [], [b"\xe9\xff"]),
    ],
)
def test_keys_are_what_either_header_presents(
    api_keys: list[str], authorizations: list[str], found: list[bytes]
) -> None:
    assert given(api_keys, authorizations) == found


def test_longest_usable_keys_are_taken() -> None:
    longest = "k" * KEY_CHARS
    assert key(longest) == longest
    assert keys(longest).caller([longest.encode()])
    assert key(USABLE) == USABLE
