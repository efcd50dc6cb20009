"""What fuzzing begins with beside the kept corpus: what the project has of each target's inputs.

And words for libFuzzer's dictionaries, which mutation alone would take long to come upon.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from contracts import sse
from contracts.reasons import ReasonCode
from fakes.openai_compat_server import Behaviour, plan_response
from fakes.openai_compat_server.catalogue import CATALOGUE, PREFIX
from fakes.openai_compat_server.dialects import DIALECTS
from fakes.openai_compat_server.scenario import Face
from fakes.openai_compat_server.tests.fake_client import chat, framed, posted
from harness.alone import GOOD
from harness.malformed import OPERATORS, body_of
from llmgw.html_elements import ELEMENTS
from llmgw.tests.answer_replies import FIRST_FAULT, NO_ANSWER
from llmgw.tests.test_guard import BLOCKED, PASSES
from qs.tests.pdf_documents import pdf

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SEED_BYTES_MAX: Final = 1_024
_GOLDEN: Final = ROOT / "fakes/openai_compat_server/tests/golden"
_PLAYED: Final = [
    name for name, scenario in CATALOGUE.items() if scenario.face is not Face.LISTENER
]
_CHUNK_HEAD: Final = re.compile(rb"\A[0-9a-f]+\r\n|\r\n[0-9a-f]+\r\n")


def seeds_of(target: str) -> list[bytes]:
    """The seeds of a target, none longer than what is fuzzed."""
    return sorted({seed[:SEED_BYTES_MAX] for seed in _SEEDS[target]()})


def _wire() -> Iterator[bytes]:
    """Golden traces, and every scenario of the fake's, streamed in one dialect and plain in all."""
    for path in sorted(_GOLDEN.iterdir()):
        yield _body(path.read_bytes())
    for name in _PLAYED:
        if name.startswith("content-"):
            continue  # the wire does not see what the text says
        for dialect in DIALECTS.values():
            yield _answered(Behaviour(persona="echo", dialect=dialect), name, stream=False)
        yield _answered(Behaviour(persona="echo"), name, stream=True)
    yield b"Fri, 15 Jan 2027 08:00:10 GMT\n"


def _answered(behaviour: Behaviour, scenario: str, *, stream: bool) -> bytes:
    asked = {**chat(framed("Why so?", "It is so."), stream=stream), "model": PREFIX + scenario}
    plan = plan_response(behaviour, posted(asked))
    return _body(b"".join(step.data for step in plan.steps))


def _body(response: bytes) -> bytes:
    """The body alone; roughly, where a scenario breaks its framing."""
    head, blank, body = response.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/"):
        return response
    return _CHUNK_HEAD.sub(b"", body) if b"chunked" in head and blank else body


def _sse() -> Iterator[bytes]:
    for body in _wire():
        if b"data:" in body:
            yield body
            yield body.replace(b"\n", b"\r\n")
    yield b"\xef\xbb\xbfdata: a\rdata:b\r\r\n: c\nevent: x\nid: 1\nretry: 2\nother\n\ndata\n"
    yield sse.HEARTBEAT


def _answer() -> Iterator[bytes]:
    """Every reply that the scanner's tests know, and what the fake's content scenarios write."""
    for reply in [text for texts in NO_ANSWER.values() for text in texts]:
        yield reply.encode("utf-8", "surrogatepass")
    for _, fault, more in FIRST_FAULT:
        yield f"{fault}{more}".encode("utf-8", "surrogatepass")
    for name in _PLAYED:
        yield from _written(_answered(Behaviour(), name, stream=False))
    yield b'{"answer": "x' + b"\xfe" * 9 + b'", "citations": [{"chunk_id": "c1"}]}'
    yield b'<think>x</think> {"citations": [{"chunk_id": "c1"}], "answer": "x' + b"\xfe" * 17


def _written(body: bytes) -> Iterator[bytes]:
    """The text of a plain reply, where it is one."""
    try:
        yield json.loads(body)["choices"][0]["message"]["content"].encode("utf-8", "surrogatepass")
    except (ValueError, LookupError, TypeError, AttributeError):
        return


def _guard() -> Iterator[bytes]:
    for text in [*PASSES, *(text for text, _ in BLOCKED)]:
        yield text.encode()
        yield text[: len(text) // 2].encode() + b"\xff" + text[len(text) // 2 :].encode()
    yield (
        b"See http://a.example/b.\xfdIt is at http://a.example/b, https://long.example/" + b"x\xfe"
    )


def _codec() -> Iterator[bytes]:
    """Good messages of every type, and one of each kind that every operator spoils."""
    for kind, good in GOOD:
        yield body_of(good)
        for operator in OPERATORS:
            yield from (spoilt.body for spoilt in islice(operator.spoil(kind, good), 1))
    yield b"[\xfe\xfe" + b"{" + b'"x'


def _ingest() -> Iterator[bytes]:
    """The handbook's sections, and pages of each format with all that a reader knows."""
    for path in sorted((ROOT / "docs").glob("*.md")):
        yield from path.read_bytes().split(b"\n## ")
    yield _HTML
    yield _MARKDOWN
    yield b"Title\n=====\n\ntext\n\nPart\n----\n\nmore " + b"word. " * 20 + b"\xfe\xfe"
    yield pdf([["A line (of two),", "and an-", "other."], []], title="T", outline=[("Part", 1)])
    yield _JSON_LINES


_JSON_LINES: Final = b"""{"text": "a"}
{"id": 1, "title": "T", "url": "https://u.example/1", "format": "markdown", "text": "# One\\n\\nb"}
{"id": "x", "format": "html", "text": "<h1>One</h1>b", "metadata": {"by": "c", "y": 2.5, "d": true}}
"""
_HTML: Final = b"""<html><head><title>T</title></head><body><nav>n</nav><h1 id=a>One</h1><p>Text
<b>bold</b> <code>c</code><br>line<ul><li>a<ol start=3><li>b</ol></ul><pre>x\n  y</pre><table><tr>
<th>h<td>d<tr><td><h2><a name=z>Two</a></h2><td><pre>p</pre></table><img alt=pic><dl><dt>t<dd>d</dl>
"""
_MARKDOWN: Final = b"""---\ntitle: 'T'\n---\n# One\n\ntext *em* `code` [l](u) ![p](i)\n\n- a\n  1. b

     ```sh
     x\n     ```\n\n> quote\n\n| a | b |\n|---|---|\n| 1 | `2` |\n\n<div>\n<pre>x
</pre></div>\n\nTwo\n---\n\n    code\n\n* * *\n[r]: /u "t"\n&amp; &#35; \\* <http://a.example>\n"""

_SEEDS: Final[Mapping[str, Callable[[], Iterator[bytes]]]] = {
    "sse": _sse,
    "wire": _wire,
    "codec": _codec,
    "answer": _answer,
    "guard": _guard,
    "ingest": _ingest,
}


def words_of(target: str) -> list[bytes]:
    """The words of a target's dictionary."""
    return sorted({word for word in _WORDS[target]() if word})


def _codec_words() -> Iterator[bytes]:
    for _, good in GOOD:
        yield from re.findall(rb'"[A-Za-z_]+":?', body_of(good))
    yield from (f'"{code}"'.encode() for code in ReasonCode)
    yield from (b"null", b"true", b"false", b"NaN", b"-Infinity", b"1e400", b"\\ud800", b"1.0")


def _wire_words() -> Iterator[bytes]:
    for path in sorted(_GOLDEN.iterdir()):
        yield from re.findall(rb'"[A-Za-z_]+":?', path.read_bytes())
    yield from (b'{"choices":[{"delta":{"content":"x"}}]}', b'{"choices":[]}', b'"object":"error"')
    yield from (
        b"data: ",
        b"event: error\n",
        b"error: ",
        b"data: [DONE]\n\n",
        b'{"error":{',
        b"\n\n",
    )
    yield from (b"context length", b"loading", b"json_schema", b"Fri, 31 Dec 9999 23:59:59 -2359")


def _answer_words() -> Iterator[bytes]:
    yield from (
        b'"citations"',
        b'"answer"',
        b'"chunk_id"',
        b'"title"',
        b'"url"',
        b"[{",
        b"}]",
        b"```",
    )
    yield from (b"<think>", b"</think>", b'"c1"', b'"c0"', b'"c4"', b"null", b"\\ud83d", b"\\ude00")
    yield from (b'{"citations":[{"chunk_id":"c1"}],"answer":"', b" " * 65, b"\\u0000", b"\\n")


def _guard_words() -> Iterator[bytes]:
    yield from (f"<{name}".encode() for name in sorted(ELEMENTS))
    yield from (
        b"](",
        b"]:",
        b"![",
        b"<!--",
        b"<![CDATA[",
        b"://",
        b"www.",
        b"javascript:",
        b"data:",
    )
    yield from (
        b"https://docs.example/",
        b"[c1]",
        b"[c1, c3]",
        b"&colon;",
        b"mailto:",
        b"//evil.example",
    )
    yield from ("【c2】".encode(), "［".encode(), b"\\", b"`", b"\n\n", b"xmpp:", b"a@evil.example")
    yield from (blank.encode() for blank in ("\r", "\f", "\x00", "\u00a0", "\u2028", "\u3000"))
    yield from (b"https://docs.example", "\u3002".encode(), b"&period;", b"<b ", b"{", b"|")


def _ingest_words() -> Iterator[bytes]:
    yield from (f"<{name}>".encode() for name in sorted(ELEMENTS))
    yield from (b"</h1>", b"</pre>", b"</table>", b"</li>", b"</ul>", b"<h2 id=", b"<li>", b"<td>")
    yield from (b"# ", b"```\n", b"~~~", b"- ", b"1. ", b"> ", b"|---|", b"    ", b"===\n", b"\n\n")
    yield from (b"---\ntitle: x\n---\n", b"&#1;", b"&nbsp;", b"<!--", b"![", b"](", b'class="toc"')
    yield from (b'{"text": "', b'", "id": ', b'"metadata": {"a": ', b'"format": "html"', b"\\ud800")
    yield from (b"%PDF-1.7\n", b" 0 obj\n<<", b">>\nstream\n", b"endstream\nendobj\n")
    yield from (b"xref\n0 1\n", b"startxref\n", b"trailer\n<< /Root ", b"/Type /Page", b"/Kids [")
    yield from (b"BT (a) Tj ET", b"/Filter /FlateDecode", b"/Length ", b"/Encrypt ", b"/Contents ")
    yield from (b"# x" + b"\xfe" * 5, "é".encode() + b"\xfe", b"[[]](\xfe", b"> \xfe", b"`\xfe")


def _sse_words() -> Iterator[bytes]:
    yield from (b"data:", b"data: ", b"event: ", b"id: 1", b"retry: ", b"\r\n", b"\n\n", b"\r\r")
    yield from (b"\xef\xbb\xbf", b"\xe2\x80\xa8", b": ", b"error: ")


_WORDS: Final[Mapping[str, Callable[[], Iterator[bytes]]]] = {
    "sse": _sse_words,
    "wire": _wire_words,
    "codec": _codec_words,
    "answer": _answer_words,
    "guard": _guard_words,
    "ingest": _ingest_words,
}


def dictionary_of(target: str) -> str:
    """A dictionary as libFuzzer reads it."""
    return "".join(f'"{_escaped(word)}"\n' for word in words_of(target))


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)
