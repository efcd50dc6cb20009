"""A fake for the length of a block: on a port, from a thread of its own; or in memory.

Listening needs nobody's event loop, so whoever asks may be synchronous or belong to any.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import anyio.abc
from anyio.from_thread import start_blocking_portal

from fakes.openai_compat_server.connection import Fake, Limits
from fakes.openai_compat_server.control import Journal
from fakes.openai_compat_server.departures import InAnotherThread, InThisLoop
from fakes.openai_compat_server.listener import serve
from fakes.openai_compat_server.openai_fake import OpenAIFake
from fakes.openai_compat_server.responses import Behaviour
from fakes.openai_compat_server.tls import Tls

_HOST: Final = "127.0.0.1"
# A name that no resolver knows: a client that was not given the transport reaches nobody.
_MEMORY_URL: Final = "http://openai-fake.invalid/v1"


@contextmanager
def serving(behaviour: Behaviour, tls: Tls | None = None) -> Iterator[OpenAIFake]:
    """A fake on a free port of 127.0.0.1 for the length of a block, HTTPS with `tls`.

    As the fixture `openai_fake`, but with the waits of `behaviour`. At the end of a block that
    nothing was raised in, AssertionError where the script and the requests do not fit.
    """
    with listening(behaviour, tls) as fake:
        yield fake
    fake.check()


@contextmanager
def listening(behaviour: Behaviour, tls: Tls | None) -> Iterator[OpenAIFake]:
    """The same for somebody who checks in his own time."""
    server = _server(behaviour, tls)
    with start_blocking_portal("asyncio") as portal:
        cancellable, port = portal.start_task(_listen, server)
        url = f"{'https' if tls else 'http'}://{_HOST}:{port}/v1"
        try:
            yield OpenAIFake(server, url, InAnotherThread())
        finally:
            cancellable.cancel()


def in_memory(behaviour: Behaviour) -> OpenAIFake:
    """One that is served in the event loop of whoever connects."""
    return OpenAIFake(_server(behaviour, None), _MEMORY_URL, InThisLoop())


def _server(behaviour: Behaviour, tls: Tls | None) -> Fake:
    """One whose journal keeps requests whole."""
    entry_bytes_max = 2 * Limits().body_bytes_max
    return Fake(behaviour, journal=Journal(entry_bytes_max=entry_bytes_max), tls=tls)


async def _listen(server: Fake, *, task_status: anyio.abc.TaskStatus[int]) -> None:
    await serve(_HOST, 0, server, task_status.started)
