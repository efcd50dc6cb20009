"""`python -m bff.chat`: one question, or a conversation, in a terminal.

The one place of this client that reads the environment. Ctrl-C leaves the answer, which the server
feels at once; it does not end the conversation.
"""

import argparse
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from io import TextIOWrapper
from typing import Final

import httpx
import trio
from attrs import define, evolve, field, frozen
from rich.console import Console
from rich.text import Text

from bff.chat.call import Broken, Refused, Server, asked, whole
from bff.chat.screen import OBEYED, Screen
from contracts.chat import ChatOptions, ChatRequest, ChatResponse, HistoryMessage, UserMessage
from contracts.codec import decode, encode
from contracts.events import CitationsProved, Meta, SourcesFound
from contracts.limits import (
    ANSWER_MAX_CHARS,
    CHAT_BODY_BYTES,
    HISTORY_MESSAGES,
    MESSAGE_CHARS,
    TOP_K_DEFAULT,
)
from contracts.strict_json import ContractViolation
from hop.pool import make_transport

OK: Final = 0
ERROR: Final = 1
UNUSABLE: Final = 2
FALLBACK: Final = 3
STOPPED: Final = 130
_EPILOG: Final = """\
without a question it asks for one after another, each seeing those before it:
  /new      begin a new conversation        /sources  what was searched for the last answer
  /help     this list                       /quit     or Ctrl-D: end
  Ctrl-C    leave the answer that is being written; the conversation goes on
environment:
  CHAT_URL       where the BFF is, in the place of --url
  CHAT_API_KEY   the key, where the BFF needs one; as an argument, everybody on the machine saw it
exit status of a single question:
  0 answered · 3 a fallback, with its reason · 1 an error · 2 unusable arguments · 130 Ctrl-C
"""


@frozen
class Arguments:
    """What the command line says."""

    question: str | None
    url: str
    key: str
    as_json: bool
    top_k: int


@define
class Conversation:
    """What was said, and the request that the next question makes of it."""

    options: ChatOptions
    session_id: str | None = field(default=None, init=False)
    said: tuple[HistoryMessage, ...] = field(default=(), init=False)

    def request(self, question: str) -> ChatRequest:
        """The server keeps the conversation where it gave it an id; else it is sent along.

        As much of it as a body has room for: of turns, the oldest stay out first.
        """
        request = ChatRequest(UserMessage("user", question), options=self.options)
        if self.session_id is not None:
            return evolve(request, session_id=self.session_id)
        turns = (evolve(request, history=self.said[at:]) for at in range(0, len(self.said), 2))
        fits = (one for one in turns if len(encode(one)) <= CHAT_BODY_BYTES)
        return next(fits, request)

    def heard(self, question: str, screen: Screen) -> None:
        """Take the answer as said."""
        self.session_id = screen.session_id or self.session_id
        answer = re.sub(r"\s*\[c[1-9]\d{0,2}\]", "", screen.text)[:ANSWER_MAX_CHARS].strip()
        if answer:
            turn = (HistoryMessage("user", question), HistoryMessage("assistant", answer))
            self.said = (*self.said, *turn)[-HISTORY_MESSAGES:]


def main(environ: Mapping[str, str], arguments: Sequence[str]) -> int:
    """The exit status."""
    told = _parsed(environ, arguments)
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # `_unusable` says so, of that line alone
    if isinstance(sys.stdout, TextIOWrapper):
        # JSON is UTF-8 everywhere; of an answer as much is shown as the terminal's letters can say.
        sys.stdout.reconfigure(encoding="utf-8" if told.as_json else None, errors="replace")
    out, notes = Console(highlight=False, markup=False), Console(stderr=True, highlight=False)
    options = ChatOptions(stream=not told.as_json, top_k=told.top_k)
    conversation = Conversation(options)
    if told.question is None:
        return _converse(told, conversation, out, notes)
    problem = _unusable(told.question, conversation)
    if problem:
        notes.print(Text(f"python -m bff.chat: {problem}", "red"), soft_wrap=True)
        return UNUSABLE
    return _answer(told, conversation, told.question, Screen(out, notes))


def _parsed(environ: Mapping[str, str], arguments: Sequence[str]) -> Arguments:
    parser = argparse.ArgumentParser(
        "python -m bff.chat",
        description="Ask the documents from a terminal.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("question", nargs="?", help="ask this and end; without one: a conversation")
    default_url = environ.get("CHAT_URL") or "http://127.0.0.1:8088"
    parser.add_argument("--url", default=default_url, help="where the BFF is (%(default)s)")
    parser.add_argument(
        "--json", action="store_true", help="print the answer as the API's JSON, in one piece"
    )
    top_k = TOP_K_DEFAULT
    parser.add_argument(
        "--top-k", type=int, default=top_k, help="passages to retrieve (%(default)s)"
    )
    found = parser.parse_args(arguments)
    if not _is_address(found.url):
        parser.error(f"--url: {found.url!r} is no http or https address")
    key = environ.get("CHAT_API_KEY", "")
    if not re.fullmatch(r"[\x21-\x7e]*", key):
        parser.error("CHAT_API_KEY: a key has no blanks and no letters outside ASCII")
    if found.json and found.question is None:
        parser.error("--json needs a question")
    return Arguments(found.question, found.url.rstrip("/"), key, found.json, found.top_k)


def _is_address(url: str) -> bool:
    try:
        httpx.URL(url).host.encode("idna")
    except (httpx.InvalidURL, UnicodeError):
        return False
    return re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url) is not None


def _unusable(question: str, conversation: Conversation) -> str:
    """Why the BFF would refuse this question; empty where it would not."""
    if not question.strip():
        return "the question is empty"
    if len(question) > MESSAGE_CHARS:
        return f"the question is over {MESSAGE_CHARS:,} characters"
    try:
        decode(encode(conversation.request(question)), ChatRequest)
    except UnicodeEncodeError:
        return "the question is no text"
    except ContractViolation as violation:
        return str(violation)
    return ""


def _converse(told: Arguments, conversation: Conversation, out: Console, notes: Console) -> int:
    """Questions until end-of-file."""
    notes.print(Text(f"Asking {told.url}. /help lists what else there is; Ctrl-D ends.", "dim"))
    screen = Screen(out, notes)
    while True:
        try:
            line = out.input(Text("\n› ", "bold cyan")).strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return OK
        if line == "/quit":
            return OK
        if line == "/new":
            conversation = Conversation(conversation.options)
            notes.print(Text("A new conversation.", "dim"))
        elif line == "/sources":
            screen.list_sources()
        elif line.startswith("/"):
            notes.print(Text(_EPILOG.partition("environment:")[0], "dim"))
        elif line and (problem := _unusable(line, conversation)):
            notes.print(Text(problem, "red"), soft_wrap=True)
        elif line:
            screen = Screen(out, notes)
            _answer(told, conversation, line, screen)
            if out.quiet:
                return ERROR  # nobody is left to be told


def _answer(told: Arguments, conversation: Conversation, question: str, screen: Screen) -> int:
    """Ask one question and show what comes; the exit status that it stands for."""
    request = conversation.request(question)
    status = trio.run(_until_interrupted, partial(_settled, told, request, screen))
    if status == STOPPED:
        screen.withdraw("Stopped. This answer is incomplete.")
    if status == OK:
        conversation.heard(question, screen)
    elif screen.session_id is not None:
        conversation.session_id = screen.session_id
    return status


Ask = Callable[[], Awaitable[int]]


async def _until_interrupted(ask: Ask) -> int:
    """What `ask` comes to; Ctrl-C leaves it."""
    status = STOPPED
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        async with trio.open_nursery() as nursery:

            async def leave() -> None:
                async for _ in interrupts:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(leave)
            status = await ask()
            nursery.cancel_scope.cancel()
    return status


async def _settled(told: Arguments, request: ChatRequest, screen: Screen) -> int:
    """The exit status of one call, whatever becomes of it; what went wrong is said."""
    ask = _in_json if told.as_json else _streamed
    try:
        async with httpx.AsyncClient(transport=make_transport(), trust_env=False) as client:
            return await ask(Server(client, told.url, told.key), request, screen)
    except Refused as refusal:
        if told.as_json:
            _print_json(encode(refusal.body), screen)
        else:
            _tell_refusal(refusal, screen)
    except Broken as broken:
        screen.fail(str(broken), withdraw=True)
    except SystemExit:  # what `rich` makes of a pipe whose reader left; it prints no more then
        pass
    return ERROR


async def _streamed(server: Server, request: ChatRequest, screen: Screen) -> int:
    with screen.notes.status("Searching the documents …") as waiting:
        async with asked(server, request) as events:
            async for event in events:
                if not isinstance(event, Meta | SourcesFound | CitationsProved):
                    waiting.stop()
                screen.show(event)
    return OK if screen.done is not None and screen.done.status == "ok" else FALLBACK


async def _in_json(server: Server, request: ChatRequest, screen: Screen) -> int:
    raw = await whole(server, request)
    _print_json(raw, screen)
    return OK if decode(raw, ChatResponse).status == "ok" else FALLBACK


def _tell_refusal(refusal: Refused, screen: Screen) -> None:
    error = refusal.body.error
    screen.request_id = refusal.body.request_id
    details = [f"{one.path}: {one.problem}" for one in error.details]
    wait = [f"Try again in {refusal.retry_after} s."] if refusal.retry_after else []
    screen.fail("\n".join([f"{error.code}: {error.message}", *details, *wait]), withdraw=True)


def _print_json(raw: bytes, screen: Screen) -> None:
    """JSON in which nothing that a terminal obeys stands unescaped."""
    text = OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", raw.decode())
    screen.out.out(text, highlight=False)


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.argv[1:]))
