"""Keys: which may call this program, and which it calls the next with. Pure.

    keys("one,two") -> Keys             what `…_API_KEYS` holds; empty: whoever calls may
    given(headers, …) -> list[bytes]    what a request presents, in either header
    Keys.caller(given) -> str | None    the caller's name, "" where no key is needed, None: unknown
    key("three") -> str                 one key of our own, for the next hop; empty: none

`Keys` holds digests alone, so no log, error or `repr` can tell a key of it. What is presented is
compared with every one of them, all of it each time: how long that takes tells nothing of which.
A caller goes by a name made of its key's digest, the same after a restart or in another order; it
is one-way, and short.
"""

import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from attrs import field, frozen

KEY_CHARS = 4_096  # a request's whole head has four times as much
NAME_HEX = 16
# What every HTTP client can put into a header, and every shell into a list: no blank, no comma.
_LISTED = re.compile(r"[!-+\--~]+")
_VISIBLE = re.compile(r"[!-~]*")
_BEARER = "bearer"


@frozen
class Keys:
    """The keys that are taken, as digests."""

    _digests: tuple[bytes, ...] = field(default=(), repr=lambda digests: str(len(digests)))

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __str__(self) -> str:
        return f"({len(self._digests)} secret)" if self else ""

    def caller(
        self,
        presented: Iterable[bytes],
        same: Callable[[bytes, bytes], bool] = hmac.compare_digest,
    ) -> str | None:
        """Who presents this: its name, or None. Two keys that differ are nobody's."""
        if not self:
            return ""
        values = set(presented)
        if len(values) != 1:
            return None
        digest = sha256(values.pop()).digest()
        found = [same(known, digest) for known in self._digests]
        return sha256(digest).hexdigest()[:NAME_HEX] if any(found) else None


def given(api_keys: Sequence[str], authorizations: Sequence[str]) -> list[bytes]:
    """The keys in these headers' values; an `Authorization` of another scheme holds none."""
    split = [value.partition(" ") for value in authorizations]
    bearers = [rest.strip(" ") for scheme, _, rest in split if scheme.lower() == _BEARER]
    # Headers are read as Latin-1, so this is what was sent, byte for byte.
    return [value.encode("latin-1") for value in (*api_keys, *bearers)]


def keys(value: str) -> Keys:
    """A comma-separated list; blanks round a key are not part of it."""
    if not value:
        return Keys()
    listed = [one.strip(" ") for one in value.split(",")]
    for number, one in enumerate(listed, start=1):
        if not one:
            raise ValueError(f"key {number} is blank")
        if not _LISTED.fullmatch(one) or len(one) > KEY_CHARS:
            raise ValueError(
                f"key {number} must be 1 to {KEY_CHARS} visible ASCII characters, without blanks"
            )
        if one in listed[: number - 1]:
            raise ValueError(f"key {number} is the same as key {listed.index(one) + 1}")
    return Keys(tuple(sha256(one.encode()).digest() for one in listed))


def key(value: str) -> str:
    """One key to send, or none."""
    if not _VISIBLE.fullmatch(value) or len(value) > KEY_CHARS:
        raise ValueError(f"must be at most {KEY_CHARS} visible ASCII characters, without blanks")
    return value
