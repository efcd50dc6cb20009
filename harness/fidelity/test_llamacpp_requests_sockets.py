"""Goal: the `llamacpp` dialect takes and refuses what llama.cpp takes and refuses.

Method: rows of requests to a real server and to the fake; a refusal must have the same shape.
"""

import pytest

from fakes.openai_compat_server.tests.fake_client import chat
from fakes.openai_compat_server.tests.llamacpp_rows import REFUSED, TAKEN, Fields
from harness.fidelity.real_server import RealServer, fake, posted
from harness.fidelity.shapes import shape_of_answer

TYPES = ("application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "")
ASKED = chat(max_tokens=1)


@pytest.mark.parametrize("fields", TAKEN.values(), ids=list(TAKEN))
def test_what_is_taken_there_is_taken_here(real: RealServer, fields: Fields) -> None:
    call = posted({**ASKED, **fields})
    assert (fake(*call).status, real.ask(*call).status) == (200, 200)


@pytest.mark.parametrize(("fields", "status"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused_there_is_refused_here(
    real: RealServer, fields: Fields, status: int
) -> None:
    call = posted({**ASKED, **fields})
    theirs = real.ask(*call)
    assert theirs.status == status
    assert shape_of_answer(fake(*call)) == shape_of_answer(theirs)


@pytest.mark.parametrize("content_type", TYPES)
def test_a_body_is_read_whatever_it_is_called(real: RealServer, content_type: str) -> None:
    call = posted(ASKED)
    ours, theirs = fake(*call, content_type), real.ask(*call, content_type)
    assert (ours.status, theirs.status) == (200, 200)
