"""Our libraries' own floor: the least that relays a model's answer with quart-trio and httpx.

    python -m harness.bench.pass_through PORT UPSTREAM_PORT

It validates nothing, has no deadline, counts nothing and passes on the pieces that httpx gives it.
What our gateway costs beyond this is the price of what the contract promises.
"""

import sys
from collections.abc import AsyncIterator
from functools import partial

import httpx
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request
from quart_trio import QuartTrio


def _make_app(upstream_port: int, client: httpx.AsyncClient) -> QuartTrio:
    app = QuartTrio("pass_through", static_folder=None, template_folder=None)
    url = f"http://127.0.0.1:{upstream_port}/v1/chat/completions"

    @app.post("/v1/chat/completions")
    async def relay() -> Response:
        asked = client.build_request(
            "POST",
            url,
            content=await request.get_data(),
            headers={"content-type": "application/json", "accept-encoding": "identity"},
        )
        answered = await client.send(asked, stream=True)
        kind = answered.headers["content-type"]
        if "content-length" in answered.headers:
            return Response(await answered.aread(), answered.status_code, content_type=kind)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for data in answered.aiter_raw():
                    yield data
            finally:
                with trio.move_on_after(1, shield=True):
                    await answered.aclose()

        response = Response(body(), answered.status_code, content_type=kind)
        response.timeout = None
        return response

    return app


async def _run(port: int, upstream_port: int) -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = None
    config.keep_alive_max_requests = 1_000_000
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx.AsyncClient(timeout=None, limits=limits, trust_env=False) as client:  # noqa: S113 - the driver has the deadlines
        await serve(_make_app(upstream_port, client), config)


if __name__ == "__main__":
    trio.run(partial(_run, int(sys.argv[1]), int(sys.argv[2])))
