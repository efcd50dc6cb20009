"""What was said: only what the model wrote, only with citations proved, `ok` only when it is whole.

Judged from the two ends alone: what the model server's journal says it sent, and what the hops
passed on. What was retrieved is the plan's.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from harness.checkers.answers import own_answers, told, wants_citations
from harness.evidence import Evidence, ModelCall, Seen, last_word
from harness.model_text import Written, quotes, shown_of
from harness.topics import EARLIER, OFF_TOPIC, TOPICS
from harness.wire_log import Exchange, json_object

_MARKER: Final = re.compile(r"\[c(\d+)\]")
_NOT_ASKED: Final = ("RAG_", "INPUT_", "ADMISSION_DEADLINE_EXPIRED", "ADMISSION_RATE_LIMITED")
_THOUGHT: Final = re.compile(r"\A(?:\s*<think>.*?(?:</think>|\Z))+", re.DOTALL)


# In a question it would stand escaped.
_MAX_LENGTH: Final = re.compile(rb'"maxLength": ?(\d+)')


def _answered(evidence: Evidence) -> Iterator[tuple[Seen, Exchange]]:
    """Every answer of ours, with the call it belongs to."""
    seen = {one.request_id: one for one in evidence.seen()}
    for exchange in own_answers(evidence):
        if exchange.request_id in seen:
            yield seen[exchange.request_id], exchange


def shown_text(exchange: Exchange) -> str:
    """The text of an answer that stands to be the model's, as far as it was sent."""
    if exchange.streams:
        return "".join(
            str(event.value("delta")) for event in exchange.events() if event.name == "delta"
        )
    body = exchange.answer_json or {}
    if exchange.status != 200 or body.get("status") != "ok":
        return ""
    answer = body.get("answer")
    text = answer.get("content") if isinstance(answer, dict) else body.get("content")
    return text if isinstance(text, str) else ""


def _written(evidence: Evidence, seen: Seen) -> list[Written]:
    return [call.written for call in evidence.model_calls(seen.topic)]


def text_is_the_models(evidence: Evidence) -> Iterator[str]:
    """What is shown is the beginning of what the model wrote; all of it where that is `ok`."""
    for seen, exchange in _answered(evidence):
        shown = shown_text(exchange)
        if not shown:
            continue
        whole = last_word(exchange) == "ok"
        cited = wants_citations(exchange)
        if not any(_is_of(shown, one.text, whole, cited) for one in _written(evidence, seen)):
            yield f"{told(exchange)}: no model wrote {shown[:80]!r}"


def _is_of(shown: str, text: str, whole: bool, cited: bool) -> bool:
    if cited:
        return shown_of(text, shown, whole=whole)
    said = _THOUGHT.sub("", text).strip()
    return said == shown.strip() if whole else said.startswith(shown.strip())


def ok_is_whole(evidence: Evidence) -> Iterator[str]:
    """`ok` needs a model that said it had finished, and closed the object it was asked for, and
    did so before the schema it was held to could."""
    for seen, exchange in _answered(evidence):
        if last_word(exchange) != "ok":
            continue
        calls = evidence.model_calls(seen.topic)
        finished = [one for one in calls if "stop" in one.written.finish_reasons]
        if not finished:
            yield f"{told(exchange)}: `ok`, and the model never said that it had finished"
        elif not wants_citations(exchange):
            continue
        elif not (whole := [one for one in finished if _answers(one.written.text)]):
            yield f"{told(exchange)}: `ok`, and the model's object is not closed"
        elif all(_was_cut(one) for one in whole):
            yield f"{told(exchange)}: `ok`, and the answer is as long as the schema allowed"


def _was_cut(call: ModelCall) -> bool:
    """Whether the server may have ended an answer, since it is as long as the schema allowed."""
    allowed = _MAX_LENGTH.search(call.request)
    return allowed is not None and int(allowed[1]) in map(len, _answers(call.written.text))


def _answers(text: str) -> list[str]:
    """The answers of the whole objects that stand in it."""
    decoder, found = json.JSONDecoder(), []
    for brace in re.finditer(r"\{", text):
        try:
            value, _ = decoder.raw_decode(text, brace.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and isinstance(value.get("answer"), str):
            found.append(value["answer"])
    return found


def citations_are_retrieved(evidence: Evidence) -> Iterator[str]:
    """No source and no citation, in any event of any hop, but of what this search found."""
    for seen, exchange in _answered(evidence):
        hits = (seen.topic or TOPICS[0]).hits()[: seen.call.top_k]
        found = {hit.chunk_id: hit for hit in hits}
        aliases = {hit.chunk_id: f"c{number}" for number, hit in enumerate(hits, start=1)}
        written = "".join(one.text for one in _written(evidence, seen))
        for item in _items(exchange):
            hit = found.get(str(item.get("chunk_id")))
            alias = aliases.get(str(item.get("chunk_id")))
            if "marker" in item and hit and item["marker"] != alias:
                yield f"{told(exchange)}: {hit.chunk_id!r} is {alias}, not {item['marker']}"
            if "marker" in item and not quotes(written, str(item["marker"])):
                yield f"{told(exchange)}: no model cited {item['marker']}"
            if hit is None:
                yield f"{told(exchange)}: {item.get('chunk_id')!r} was not retrieved"
            elif (item.get("title"), item.get("url")) != (hit.title, hit.url):
                yield f"{told(exchange)}: title or url of {hit.chunk_id!r} are not its own"


def _items(exchange: Exchange) -> Iterator[dict[str, object]]:
    """Every source and every citation of an answer."""
    parts = [event.data or {} for event in exchange.events()] if exchange.streams else []
    for part in [*parts, exchange.answer_json or {}]:
        for key in ("sources", "citations"):
            items = part.get(key)
            for item in items if isinstance(items, list) else []:
                if isinstance(item, dict):
                    yield item


def text_waits_for_its_proof(evidence: Evidence) -> Iterator[str]:
    """No marker in the shown text that the citations before it do not prove."""
    for _, exchange in _answered(evidence):
        cited = {str(item.get("marker")) for item in _items(exchange)} - {"None"}
        if not exchange.streams and last_word(exchange) != "ok":
            continue
        for number in _MARKER.findall(shown_text(exchange)):
            if f"c{number}" not in cited:
                yield f"{told(exchange)}: the text cites c{number}, the citations do not"


def ok_is_cited(evidence: Evidence) -> Iterator[str]:
    """An `ok` answer has text, and citations where they are required."""
    for _, exchange in _answered(evidence):
        if last_word(exchange) != "ok":
            continue
        if not shown_text(exchange).strip():
            yield f"{told(exchange)}: `ok` without text"
        cited = any("marker" in item for item in _items(exchange))
        if cited is not wants_citations(exchange):
            yield f"{told(exchange)}: `ok` {'with' if cited else 'without'} citations"


def what_was_asked_is_passed_on(evidence: Evidence) -> Iterator[str]:
    """The gateway gets the passages wanted, and all that was said; the model is told that, too."""
    for seen in evidence.seen():
        hits = (seen.topic or TOPICS[0]).hits()[: seen.call.top_k]
        said = [*EARLIER[: seen.call.history], _question(seen)]
        for exchange in evidence.by_host["llmgw"]:
            if exchange.request_id == seen.request_id and (asked := json_object(exchange.body)):
                found = _texts(asked.get("messages"), "content")
                said = _in_session(evidence, seen, found) or said
                if found != said:
                    yield f"{told(exchange)}: {found} was asked, not {said}"
                context = asked.get("context")
                found = _texts(
                    context.get("chunks") if isinstance(context, dict) else [], "chunk_id"
                )
                if found != [hit.chunk_id for hit in hits]:
                    yield f"{told(exchange)}: it was given {found}, and {len(hits)} were wanted"
        for call in evidence.model_calls(seen.topic):
            # The markers of an answer named other passages: they are taken out of a history.
            if not _stand_in_order(call.request, [text for text in said if "[c" not in text]):
                yield f"{seen.request_id}: the model was not told what was said before"


def _stand_in_order(request: bytes, texts: Sequence[str]) -> bool:
    at = 0
    for text in texts:
        at = request.find(_in_json(text), at)
        if at < 0:
            return False
    return True


def _in_json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def _question(seen: Seen) -> str:
    return seen.topic.question if seen.topic else OFF_TOPIC


def _in_session(evidence: Evidence, seen: Seen, found: list[str]) -> list[str]:
    """What was said in the session that a call continues; empty where it continues none.

    Turns that had ended well when it was taken are told, those that ended meanwhile may be. What an
    answer said is taken as it is found.
    """
    at_qs = [it for it in evidence.by_host["qs"] if it.request_id == seen.request_id]
    session = (json_object(at_qs[0].body) or {}).get("session_id") if at_qs else None
    if session is None:
        return []
    kept = evidence.kept or ()
    mates = {request for request, of, status in kept if of == session and status == "ok"}
    said: list[str] = []
    for exchange in sorted(evidence.by_host["qs"], key=lambda it: it.asked_at):
        for mate in evidence.seen():
            if mate.request_id != exchange.request_id or exchange.request_id not in mates:
                continue
            question = _question(mate)
            ended = exchange.ended_at is not None and exchange.ended_at <= at_qs[0].asked_at
            if mate.number != seen.number and (ended or question in found):
                at = found.index(question) + 1 if question in found else len(found)
                said += [question, *found[at : at + 1]]
    return [*said, _question(seen)]


def _texts(items: object, key: str) -> list[str]:
    parts = items if isinstance(items, list) else []
    return [str(part.get(key)) for part in parts if isinstance(part, dict)]


def model_is_not_asked_in_vain(evidence: Evidence) -> Iterator[str]:
    """Where the search settles it, or the request is refused, no model is called."""
    for seen in evidence.seen():
        if seen.ends_in.startswith(_NOT_ASKED) and evidence.model_calls(seen.topic):
            yield f"{seen.request_id}: {seen.ends_in}, and the model was asked"


CHECKERS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    text_is_the_models,
    ok_is_whole,
    citations_are_retrieved,
    text_waits_for_its_proof,
    ok_is_cited,
    what_was_asked_is_passed_on,
    model_is_not_asked_in_vain,
)
