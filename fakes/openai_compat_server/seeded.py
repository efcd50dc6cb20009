"""Everything random about an answer, drawn from the seed and the request alone.

Not `random`: each draw is named, so that a new one never shifts the ones that were there.
"""

import hashlib

from attrs import frozen


@frozen
class Draw:
    """Named draws from one key; the same key and name always give the same value."""

    key: bytes

    def fraction(self, name: str, at: int = 0) -> float:
        """A number in [0, 1)."""
        return int.from_bytes(self._digest(name, at)[:7]) / 2**56

    def hex(self, name: str, chars: int) -> str:
        """`chars` hex digits, 64 at most."""
        return self._digest(name, 0).hex()[:chars]

    def _digest(self, name: str, at: int) -> bytes:
        return hashlib.blake2b(f"{name}:{at}".encode(), key=self.key, digest_size=32).digest()


def draw_for(seed: int, *parts: bytes) -> Draw:
    """The draws of one request under one seed."""
    digest = hashlib.blake2b(str(seed).encode(), digest_size=32)
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return Draw(digest.digest())
