"""The chat page, served as files: HTML, CSS and ES modules, and nothing from anywhere else.

Only the files of `page/` are served, read once when the program starts.
"""

from pathlib import Path

from quart import Response
from werkzeug.exceptions import NotFound

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
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # File names carry no hash, so a browser asks each time.
    "cache-control": "no-cache",
}


def add_page(app: HopApp) -> None:
    """Serve the page at `/` and its parts below `/page/`."""
    files = {path.name: path for path in _FOLDER.iterdir() if path.suffix in _TYPES}
    contents = {name: path.read_bytes() for name, path in files.items()}

    def file(name: str) -> Response:
        if name not in contents:
            raise NotFound()
        return Response(contents[name], headers=_HEADERS, content_type=_TYPES[files[name].suffix])

    @app.get("/")
    async def page() -> Response:
        return file("index.html")

    @app.get("/page/<name>")
    async def part(name: str) -> Response:
        return file(name)
