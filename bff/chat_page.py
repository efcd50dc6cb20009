"""The BFF's pages: the chat page and the API's, served whole, and nothing from anywhere else.

Only the files of `page/` and what is made of our own OpenAPI document are served, read and made
once when the program starts. Every answer of the BFF, a page or not, says to browsers what they
may do with it: by default, nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from quart import Response
from werkzeug.exceptions import NotFound

from bff.api_page import api_page
from contracts.codec import encode
from contracts.openapi import SERVICES, document
from hop.lifetime import HopApp

_FOLDER = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    # File names carry no hash, so a browser asks each time.
    "cache-control": "no-cache",
}
# What is no page of ours runs nothing, is framed by nobody, and is taken for what it says it is.
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Answers are somebody's: no cache between here and the browser may keep one.
    "cache-control": "no-store",
}


def add_pages(app: HopApp) -> None:
    """Serve the chat page at `/`, its parts below `/page/`, and the API at `/docs`."""
    files = {path.name: path for path in _FOLDER.iterdir() if path.suffix in _TYPES}
    contents = {name: path.read_bytes() for name, path in files.items()}
    (described,) = [document(service) for service in SERVICES if service.name == "bff"]
    to_read, to_parse = api_page(described).encode(), encode(described)

    def served(content: bytes, kind: str) -> Response:
        return Response(content, headers=_HEADERS, content_type=kind)

    def file(name: str) -> Response:
        if name not in contents:
            raise NotFound()
        return served(contents[name], _TYPES[files[name].suffix])

    @app.get("/")
    async def page() -> Response:
        return file("index.html")

    @app.get("/page/<name>")
    async def part(name: str) -> Response:
        return file(name)

    @app.get("/docs")
    async def docs() -> Response:
        return served(to_read, _TYPES[".html"])

    @app.get("/openapi.json")
    async def openapi() -> Response:
        return served(to_parse, "application/json")


def guard_answers(app: HopApp) -> None:
    """Have every answer carry the security headers; one that says otherwise itself keeps that."""

    @app.after_request
    async def guarded(response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response
