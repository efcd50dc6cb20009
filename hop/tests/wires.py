"""A network with one peer, which says what it was given, piece by piece."""

from collections.abc import Iterable, Sequence
from typing import Final

import httpcore
import trio


class OneAnswer(httpcore.AsyncNetworkBackend):
    """Each read gets the next piece; after the last one, the connection's end."""

    RESET: Final = b"(reset)"
    SILENCE: Final = b"(silence)"

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(pieces)
        self.connections = 0
        self.sent: list[bytes] = []

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - there is one peer
        port: int,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        self.connections += 1
        return _Peer(self._pieces, self.sent)


class _Peer(httpcore.AsyncNetworkStream):
    def __init__(self, pieces: list[bytes], sent: list[bytes]) -> None:
        self._pieces = pieces
        self._sent = sent

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        piece = self._pieces.pop(0) if self._pieces else b""
        if piece == OneAnswer.RESET:
            raise httpcore.ReadError("reset")
        if piece == OneAnswer.SILENCE:
            await trio.sleep_forever()
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        self._sent.append(buffer)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    def get_extra_info(self, info: str) -> object:  # noqa: ARG002 - it knows nothing
        return None
