"""The floor: a TCP relay that reads nothing of what it carries.

    python -m harness.bench.relay PORT UPSTREAM_PORT

Whatever a gateway in Python under trio does, it cannot do with fewer system calls than this.
"""

import sys
from functools import partial

import trio

_PIECE_BYTES = 64 * 1024


async def _carry(
    source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope
) -> None:
    """Until either side leaves; then both connections end."""
    try:
        async for data in source:
            await sink.send_all(data)
    except trio.BrokenResourceError:
        pass
    scope.cancel()


async def _connection(client: trio.SocketStream, upstream_port: int) -> None:
    upstream = await trio.open_tcp_stream("127.0.0.1", upstream_port)
    async with client, upstream, trio.open_nursery() as both:
        both.start_soon(_carry, client, upstream, both.cancel_scope)
        both.start_soon(_carry, upstream, client, both.cancel_scope)


async def _serve(port: int, upstream_port: int) -> None:
    handler = partial(_connection, upstream_port=upstream_port)
    await trio.serve_tcp(handler, port, host="127.0.0.1", backlog=1024)


if __name__ == "__main__":
    trio.run(_serve, int(sys.argv[1]), int(sys.argv[2]))
