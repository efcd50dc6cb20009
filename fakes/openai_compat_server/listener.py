"""The fake on a real address."""

import logging
from collections.abc import Callable

import anyio
from anyio.abc import SocketAttribute, SocketStream

from fakes.openai_compat_server.connection import Fake, serve_stream

_LOG = logging.getLogger(__name__)


async def serve(
    host: str, port: int, fake: Fake, on_listening: Callable[[int], None] | None = None
) -> None:
    """Serve until cancelled. Port 0 takes a free one; `on_listening` is told which.

    Raises OSError when the address can not be had. Being cancelled cuts what is being sent.
    """

    async def handle(stream: SocketStream) -> None:
        try:
            await serve_stream(stream, fake)
        except Exception:
            # One connection's fault, ours or the kernel's, must not take the others with it.
            _LOG.exception("a connection failed")

    listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    async with listener:
        if on_listening is not None:
            on_listening(listener.extra(SocketAttribute.local_port))  # noqa: S610 (not Django's)
        await listener.serve(handle)
