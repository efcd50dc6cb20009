# ruff: noqa: E501 - a row of the table is read as one
"""Violations of what was said: text, proof and success that are not the model's."""

import json
from typing import Final

from attrs import evolve

from harness.evidence import Evidence
from harness.tests.doctoring import (
    ABSTAINED,
    GOOD,
    PLAIN,
    STREAMED,
    TALKING,
    UNCITED,
    WEAK,
    WITHDRAWN,
    Frame,
    model_asked,
    model_says,
    played,
    reasked,
    restreamed,
)
from harness.tests.planted import (
    before_end,
    body,
    dropped,
    first_delta,
    planted,
    saying,
    stream,
)
from harness.topics import TOPICS

_ANSWER: Final = (
    "To wind the zarquon lamp before the winter, turn the `brelk` key nineteen times. [c1]"
)


def _object(answer: str = _ANSWER, alias: str = "c1") -> str:
    return json.dumps({"citations": [{"chunk_id": alias}], "answer": answer})


def _shows(*texts: str) -> Evidence:
    """The client is shown these texts, whatever the model wrote."""

    def edit(frames: list[Frame]) -> list[Frame]:
        at = next(frame.at for frame in frames if frame.name == "delta")
        rest = dropped("delta")(frames)
        return [*rest[:-1], *(Frame(at, "delta", {"delta": text}) for text in texts), rest[-1]]

    return restreamed(played(GOOD), "bff", STREAMED, edit)


def _asked_for_at_most(chars: int) -> Evidence:
    """The model was sent a schema with this `maxLength` for its answer."""
    answers = b'"answer":{"type":"string"'
    doctored = model_says(played(GOOD), STREAMED, _object())
    return model_asked(doctored, STREAMED, answers, b'%b,"maxLength":%d' % (answers, chars))


def _cites_uncited() -> Evidence:
    """The model writes of c2, and all hops show it; c2 is nowhere proved."""
    answer = _ANSWER.replace("[c1]", "[c2]")
    doctored = model_says(played(GOOD), STREAMED, _object(answer))
    for host in ("bff", "qs", "llmgw"):
        doctored = restreamed(
            doctored,
            host,
            STREAMED,
            lambda frames: [
                frame.saying(delta=" [c2]") if frame.data == {"delta": " [c1]"} else frame
                for frame in frames
            ],
        )
    return doctored


def _asked(number: int) -> Evidence:
    """The model was asked this call's question too."""
    good = played(GOOD)
    asked = evolve(good.model[0], request=TOPICS[number].question.encode())
    return evolve(good, model=(*good.model, asked))


def _source(chunk_id: str, title: str = "On zarquon, part 1", marker: str = "c1") -> object:
    url = "https://docs.example/zarquon/" + chunk_id[len("topic0-") : -2]
    return {"chunk_id": chunk_id, "marker": marker, "title": title, "url": url}


def _cites(item: object) -> Evidence:
    """The client is told of this citation, at both places where it is."""
    return restreamed(
        restreamed(played(GOOD), "bff", STREAMED, saying("citations", citations=[item])),
        "bff",
        STREAMED,
        saying("done", citations=[item]),
    )


def _cites_the_other_chunk() -> Evidence:
    return _cites(_source("topic0-2#1", "On zarquon, part 2"))


def _cites_what_no_model_did() -> Evidence:
    return _cites(_source("topic0-2#1", "On zarquon, part 2", "c2"))


_FOREIGN: Final = {"chunk_id": "topic3-1#1", "doc_id": "topic3-1", "title": None, "url": None,
                   "snippet": "Gardens", "score": 1.0}  # fmt: skip


def _told(old: bytes, new: bytes) -> Evidence:
    """The gateway was told something else than the client said."""
    return reasked(played(TALKING), "llmgw", 0, old, new)


def _model_told() -> Evidence:
    """The model was told what was said before, and not all of it."""
    world = played(TALKING)
    first = evolve(world.model[0], request=world.model[0].request.replace(b"blivet", b"-"))
    return evolve(world, model=(first, *world.model[1:]))


def _wanted_fewer() -> Evidence:
    """Two passages were found, and told; the client had wanted one."""
    good = played(GOOD)
    first, *rest = good.plan.calls
    plan = evolve(good.plan, calls=(evolve(first, top_k=1), *rest))
    return evolve(good, plan=plan)


PLANTED: Final = (
    planted("what_was_asked_is_passed_on", "call-0 at llmgw: ['Earlier I asked something about the -",
            lambda: _told(b"blivet", b"------")),
    planted("what_was_asked_is_passed_on", "call-0 at llmgw: it was given ['topic0-2#1'], and 1",
            lambda: _told(b"topic0-1#1", b"topic0-2#1")),
    planted("what_was_asked_is_passed_on", "call-0: the model was not told what was said before",
            _model_told),
    planted("citations_are_retrieved", "call-0 at bff: 'topic0-2#1' was not retrieved",
            _wanted_fewer, "what_was_asked_is_passed_on"),
    planted("text_is_the_models", "call-0 at bff: no model wrote 'I wind",
            stream(STREAMED, first_delta("I"))),
    planted("text_is_the_models", "call-0 at llmgw: no model wrote 'I wind",
            stream(STREAMED, first_delta("I"), "llmgw")),
    planted("text_is_the_models", "call-0 at bff: no model wrote 'To wind'",
            lambda: _shows("To", " wind")),
    planted("text_is_the_models", "call-0 at bff: no model wrote 'c1'", lambda: _shows("c1")),
    planted("text_is_the_models", "call-1 at bff: no model wrote 'Oil.'",
            body(PLAIN, answer={"role": "assistant", "content": "Oil."})),
    planted("text_is_the_models", "call-1 at llmgw: no model wrote 'Oil.'",
            body(PLAIN, "llmgw", content="Oil.")),
    planted("text_is_the_models", "call-2 at bff: no model wrote",
            stream(UNCITED, lambda frames: [*frames[:2], *frames[3:]])),
    planted("text_is_the_models", "call-0 at bff: no model wrote 'I wind",
            stream(0, first_delta("I"), plan=WITHDRAWN)),
    planted("text_is_the_models", "call-3 at bff: no model wrote 'Nothing.'",
            stream(ABSTAINED, lambda frames: [
                *frames[:-2],
                Frame(frames[-2].at, "delta", {"delta": "Nothing."}),
                frames[-2].saying(discard=True),
                frames[-1],
            ]), "order_is_legal"),
    planted("ok_is_whole", "call-0 at bff: `ok`, and the model never said that it had finished",
            lambda: model_says(played(GOOD), STREAMED, _object(), "length")),
    planted("ok_is_whole", "call-0 at bff: `ok`, and the model's object is not closed",
            lambda: model_says(played(GOOD), STREAMED, _object()[:-1])),
    planted("ok_is_whole", "call-0 at bff: `ok`, and the answer is as long as the schema allowed",
            lambda: _asked_for_at_most(len(_ANSWER))),
    planted("citations_are_retrieved", "call-0 at bff: 'topic3-1#1' was not retrieved",
            stream(STREAMED, saying("sources", sources=[_FOREIGN]))),
    planted("citations_are_retrieved", "call-5 at bff: 'topic3-1#1' was not retrieved",
            body(WEAK, sources=[_FOREIGN])),
    planted("citations_are_retrieved", "call-0 at bff: 'topic9-1#1' was not retrieved",
            lambda: _cites(_source("topic9-1#1"))),
    planted("citations_are_retrieved", "call-0 at bff: title or url of 'topic0-1#1' are not its own",
            lambda: _cites(_source("topic0-1#1", "A title of the model's"))),
    planted("citations_are_retrieved", "call-0 at bff: 'topic0-2#1' is c2, not c1",
            _cites_the_other_chunk),
    planted("citations_are_retrieved", "call-0 at bff: no model cited c2", _cites_what_no_model_did,
            "text_waits_for_its_proof"),
    planted("text_waits_for_its_proof", "call-0 at bff: the text cites c2, the citations do not",
            _cites_uncited),
    planted("ok_is_cited", "call-0 at bff: `ok` without text", stream(STREAMED, dropped("delta")),
            "order_is_legal"),
    planted("ok_is_cited", "call-1 at bff: `ok` without text",
            body(PLAIN, answer={"role": "assistant", "content": " \n"}), "text_is_the_models"),
    planted("ok_is_cited", "call-1 at bff: `ok` without citations", body(PLAIN, citations=[]),
            "text_waits_for_its_proof"),
    planted("ok_is_cited", "call-2 at bff: `ok` with citations",
            stream(UNCITED, before_end("citations", {"citations": [
                {"chunk_id": "topic2-1#1", "marker": "c1", "title": "On mestrade, part 1",
                 "url": "https://docs.example/mestrade/1"}]})),
            "order_is_legal citations_are_retrieved"),
    planted("model_is_not_asked_in_vain", "call-5: RAG_LOW_SCORE, and the model was asked",
            lambda: _asked(4)),
    planted("model_is_not_asked_in_vain", "call-4: INPUT_INVALID, and the model was asked",
            lambda: _asked(3)),
)  # fmt: skip
