"""A strict reading of a whole reply, to hold the answer scanner against.

It rests on the standard library's parser and knows no order of faults: it says whether a text is
an answer, and else which codes could be given for it.
"""

import json
import re

from contracts import limits
from contracts.reasons import ReasonCode as R
from llmgw.answer_object import is_blank

CANDIDATE = re.compile(r'<think>|\{(?=[ \t\r\n]*["}])')
STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
LONG_BLANKS = re.compile(r"[ \t\r\n]{65}")
LONE = re.compile("[\x00\ud800-\udfff]")
# What is no JSON may be refused for anything that stands in front of the break.
ALWAYS = set(R)


class Pairs(list[tuple[str, object]]):
    """An object as its pairs, so that a key that stands twice is seen."""


def candidates(text: str) -> tuple[list[tuple[object, str]], list[str], bool]:
    """The objects outside `<think>` blocks with their text, the prose between, and any breakage."""
    decoder = json.JSONDecoder(object_pairs_hook=Pairs, parse_constant=_no_constant)
    objects: list[tuple[object, str]] = []
    prose: list[str] = []
    at = 0
    while found := CANDIDATE.search(text, at):
        prose.append(text[at : found.start()])
        if found[0] == "<think>":
            closed = text.find("</think>", found.end())
            at = len(text) if closed < 0 else closed + len("</think>")
            prose.append(">")
            continue
        try:
            value, end = decoder.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            return objects, prose, True
        objects.append((value, text[found.start() : end]))
        if "".join(prose).rstrip(" \t\r\n").endswith("["):
            return objects, prose, True
        prose.append("}")
        at = end
    return objects, [*prose, text[at:]], False


def _no_constant(name: str) -> object:
    raise ValueError(name)


def reference(text: str) -> tuple[set[R], tuple[str, ...], str]:
    """The codes that could be given for a text, none for an answer: its aliases and its text."""
    objects, prose, broken = candidates(text)
    if broken:
        return ALWAYS, (), ""
    possible: set[R] = set()
    if not objects:
        possible.add(R.OUTPUT_NOT_JSON)
    if len(objects) > 1:
        possible.add(R.OUTPUT_AMBIGUOUS)
    looping = [STRING.sub('""', raw) for _, raw in objects]
    looping += [part for part in prose if re.search(r"\{[ \t\r\n]{65}", part)]
    if any(LONG_BLANKS.search(part) for part in looping):
        possible.add(R.OUTPUT_WHITESPACE_LOOP)
    if LONE.search(text):
        possible.add(R.OUTPUT_INVALID_UNICODE)
    if not objects:
        return possible, (), ""
    faults, aliases, answer = judged(objects[0][0])
    return possible | faults, aliases, answer


def judged(value: object) -> tuple[set[R], tuple[str, ...], str]:
    """What the whole object could be refused for, whatever its order."""
    assert isinstance(value, Pairs)
    faults: set[R] = set()
    keys = [key for key, _ in value]
    if len(set(keys)) < len(keys):
        faults.add(R.OUTPUT_DUPLICATE_KEY)
    if not set(keys) <= {"citations", "answer"}:
        faults.add(R.OUTPUT_SCHEMA_MISMATCH)
    for key, held in value:
        if key == "answer":
            faults |= judged_answer(held, is_first=keys[0] == key)
    if any(LONE.search(str(part)) for part in flat(value)):
        faults.add(R.OUTPUT_INVALID_UNICODE)
    for key, held in value:
        if key == "citations":
            faults |= judged_citations(held)
    if "citations" not in keys:
        faults.add(R.CITATIONS_MISSING)
    if "answer" not in keys:
        faults.add(R.OUTPUT_ANSWER_MISSING)
    if faults:
        return faults, (), ""
    members = dict(value)
    listed, answer = members["citations"], members["answer"]
    assert isinstance(listed, list)
    assert isinstance(answer, str)
    return faults, tuple(dict.fromkeys(dict(item)["chunk_id"] for item in listed)), answer


def judged_answer(answer: object, *, is_first: bool) -> set[R]:
    if not isinstance(answer, str):
        return {R.OUTPUT_SCHEMA_MISMATCH}
    faults: set[R] = set()
    if is_blank(answer):
        faults.add(R.OUTPUT_ANSWER_MISSING)
    if len(answer) > limits.ANSWER_MAX_CHARS:
        faults.add(R.OUTPUT_TOO_LONG)
    if len(answer) > limits.HOLD_MAX_CHARS and is_first:
        faults.add(R.OUTPUT_HOLD_EXCEEDED)
    return faults


def judged_citations(listed: object) -> set[R]:
    if not isinstance(listed, list) or isinstance(listed, Pairs):
        return {R.CITATIONS_MALFORMED}
    faults: set[R] = set()
    ids: list[object] = []
    for item in listed:
        if not isinstance(item, Pairs):
            faults.add(R.CITATIONS_MALFORMED)
            continue
        keys = [key for key, _ in item]
        if len(set(keys)) < len(keys):
            faults.add(R.OUTPUT_DUPLICATE_KEY)
        labels = [held for key, held in item if key in ("title", "url")]
        named = [held for key, held in item if key == "chunk_id"]
        shaped = set(keys) <= {"chunk_id", "title", "url"} and named
        if not shaped or not all(isinstance(i, str) for i in named):
            faults.add(R.CITATIONS_MALFORMED)
        if not all(label is None or isinstance(label, str) for label in labels):
            faults.add(R.CITATIONS_MALFORMED)
        ids += named
    if not listed:
        faults.add(R.CITATIONS_MISSING)
    if len(listed) > limits.CITATIONS_MAX:
        faults.add(R.CITATIONS_TOO_MANY)
    if set(map(str, ids)) - {"c1", "c2", "c3"}:
        faults.add(R.MODEL_ABSTAINED if set(map(str, ids)) == {"c0"} else R.CITATIONS_INVALID)
        faults.add(R.CITATIONS_INVALID)
    return faults


def flat(value: object) -> list[object]:
    """Every key and every scalar in a value."""
    if isinstance(value, Pairs):
        return [part for key, held in value for part in (key, *flat(held))]
    if isinstance(value, list):
        return [part for held in value for part in flat(held)]
    return [value]
