"""The BFF's OpenAPI document as a page to read: plain HTML, no script, nothing from anywhere else.

Pure: a document in, one page out. What the document says is text and is escaped; references become
links within the page. It knows the words of OpenAPI that `contracts/openapi.py` uses, and no path.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Final, cast

from contracts.schema import Schema

_METHODS: Final = ("get", "post", "put", "delete")
_BOUNDS: Final = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "pattern": "of the form {}",
}


def api_page(document: Schema) -> str:
    """The page."""
    info, parts = _in(document, "info"), _in(document, "components")
    body = [
        f"<header><p><a href='./'>Ask the documents</a></p><h1>{_text(info['title'])}: the API</h1>"
        f"<p>{_prose(info['description'])}</p>"
        "<p>The same for machines: <a href='openapi.json'>openapi.json</a> (OpenAPI 3.1).</p>"
        f"</header><main>{_contents(document)}",
        *_operations(document),
        "<section><h2 id='schemas'>Bodies</h2>",
        *(_schema(name, cast(Schema, it)) for name, it in _in(parts, "schemas").items()),
        "</section></main>",
    ]
    return _FRAME.format(title=_text(info["title"]), body="\n".join(body))


_FRAME: Final = (
    "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
    "<meta name='viewport' content='width=device-width, initial-scale=1'>"
    "<meta name='color-scheme' content='light dark'><title>{title}: the API</title>"
    "<link rel='stylesheet' href='page/page.css'><link rel='stylesheet' href='page/api.css'>"
    "</head><body class='api'>{body}</body></html>\n"
)


def _contents(document: Schema) -> str:
    """Every operation by its name, leading to it."""
    items = (
        f"<li><a href='#{_text(it['operationId'])}'>{_verb(method)} <code>{_text(path)}</code> "
        f"{_text(it['summary'])}</a></li>"
        for path, method, it in _each(document)
    )
    return f"<nav aria-label='Calls'><ul>{''.join(items)}</ul></nav>"


def _each(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, item in _in(document, "paths").items():
        for method in _METHODS:
            if method in cast(Schema, item):
                yield path, method, _in(cast(Schema, item), method)


def _operations(document: Schema) -> Iterator[str]:
    for path, method, operation in _each(document):
        given = [_followed(document, one) for one in _list(operation, "parameters")]
        call = _text(f"{method.upper()} {path}")
        yield "<section class='call'>"
        yield (
            f"<h2 id='{_text(operation['operationId'])}'>{_verb(method)} "
            f"<code>{_text(path)}</code></h2><p>{_prose(operation['summary'])}.</p>"
        )
        if given:
            yield _table("Parameters", call, ("name", "in", "what"), map(_parameter, given))
        if "requestBody" in operation:
            schemas = _media(_in(operation, "requestBody"))
            yield f"<h3>Request body</h3>{schemas}"
        answers = (_answer(document, *one) for one in _in(operation, "responses").items())
        yield _table("Answers", call, ("status", "what", "body"), answers)
        yield "</section>"


def _parameter(it: Schema) -> tuple[str, str, str]:
    where = f"{_text(it['in'])}{', needed' if it.get('required') else ''}"
    return f"<code>{_text(it['name'])}</code>", where, _prose(it.get("description", ""))


def _answer(document: Schema, status: str, response: object) -> tuple[str, str, str]:
    it = _followed(document, response)
    return f"<code>{_text(status)}</code>", _prose(it["description"]), _media(it)


def _media(it: Schema) -> str:
    """The bodies that a request or an answer may have, by their media type."""
    return "".join(
        f"<p><code>{_text(kind)}</code> {_kind(_in(cast(Schema, media), 'schema'))}"
        f"{_events(cast(Schema, media))}</p>"
        for kind, media in _in(it, "content").items()
    )


def _events(media: Schema) -> str:
    if "x-events" not in media:
        return ""
    events = _in(media, "x-events").items()
    return ": " + ", ".join(
        f"<code>{_text(name)}</code> {_kind(cast(Schema, it))}" for name, it in events
    )


def _schema(name: str, it: Schema) -> str:
    needed = cast(list[str], it.get("required", []))
    fields = (
        (
            f"<code>{_text(field)}</code>",
            f"{_kind(cast(Schema, of))}{'' if field in needed else ', may be left out'}",
            _bounds(cast(Schema, of)),
        )
        for field, of in _in(it, "properties").items()
    )
    table = (
        _table("", _text(name), ("field", "type", "limits"), fields) if "properties" in it else ""
    )
    values = "" if table else f"<p>{_kind(it)}</p>"
    return (
        f"<section class='schema'><h3 id='{_text(name)}'>{_text(name)}</h3>"
        f"<p>{_prose(it.get('description', ''))}</p>{table}{values}</section>"
    )


def _kind(it: Schema) -> str:
    """A schema's type in a few words; what has a name of its own is a link to it."""
    if "$ref" in it:
        name = str(it["$ref"]).rpartition("/")[2]
        return f"<a href='#{_text(name)}'>{_text(name)}</a>"
    if "enum" in it:
        return "one of " + ", ".join(f"<code>{_text(one)}</code>" for one in _list(it, "enum"))
    for several, word in (("anyOf", " or "), ("allOf", " with ")):
        if several in it:
            kinds = [_kind(cast(Schema, one)) for one in _list(it, several)]
            return word.join(kind for kind in kinds if kind)
    if it.get("type") == "array":
        return f"list of {_kind(_in(it, 'items'))}"
    if "properties" in it:
        return _codes(it)
    of = it.get("type", "")
    return " or ".join(map(_text, of)) if isinstance(of, list) else _text(of)


def _codes(it: Schema) -> str:
    """What an inline object narrows, or that it is one."""
    found = [
        _kind(cast(Schema, deep))
        for one in _in(it, "properties").values()
        for deep in _in(cast(Schema, one), "properties").values()
    ]
    return "; ".join(found) or "object"


def _bounds(it: Schema) -> str:
    said = [
        words.format(f"<code>{_text(it[key])}</code>")
        for key, words in _BOUNDS.items()
        if it.get(key)
    ]
    if "default" in it:
        said.append(f"default <code>{_text(json.dumps(it['default']))}</code>")
    return ", ".join([*said, *([_prose(it["description"])] if "description" in it else [])])


def _table(caption: str, of: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table that scrolls by itself where it is too wide; its name says of what it is."""
    head = "".join(f"<th scope='col'>{one}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    title = f"<h3>{caption}</h3>" if caption else ""
    name = f"{caption or 'Fields'} of {of}"
    return (
        f"{title}<div class='wide' tabindex='0' role='region' aria-label='{name}'>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _followed(document: Schema, it: object) -> Schema:
    """What a reference within the document stands for; anything else is itself."""
    found = cast(Schema, it)
    if "$ref" not in found:
        return found
    target: Schema = document
    for name in str(found["$ref"]).removeprefix("#/").split("/"):
        target = _in(target, name)
    return target


def _in(it: Mapping[str, object], key: str) -> Schema:
    return cast(Schema, it.get(key, {}))


def _list(it: Mapping[str, object], key: str) -> list[object]:
    return cast(list[object], it.get(key, []))


def _verb(method: str) -> str:
    return f"<span class='verb'>{method.upper()}</span>"


def _text(it: object) -> str:
    return escape(str(it), quote=True)


def _prose(it: object) -> str:
    """Text in which backticks stand round what is code."""
    parts = _text(it).split("`")
    if len(parts) % 2 == 0:
        return "`".join(parts)
    return "".join(f"<code>{one}</code>" if at % 2 else one for at, one in enumerate(parts))
