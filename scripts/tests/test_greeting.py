"""What `make run` says when all is ready can be pasted as it is, but for a key."""

import shlex
from itertools import pairwise

import pytest

from scripts.run import greeting


@pytest.mark.parametrize("keyed", [True, False])
def test_call_to_try_names_a_key_exactly_when_one_is_needed(keyed: bool) -> None:
    ready, call, page = greeting("http://127.0.0.1:8088", keyed=keyed)
    assert ready == "ready http://127.0.0.1:8088"
    assert page.startswith("the chat page is at http://127.0.0.1:8088/ ")
    words = shlex.split(call)
    assert words[:3] == ["curl", "-N", "http://127.0.0.1:8088/chat?stream=true"]
    headers = [value for flag, value in pairwise(words) if flag == "-H"]
    keys = ["x-api-key: YOUR-KEY"] if keyed else []
    assert headers == ["content-type: application/json", *keys]
