"""What `/ready` bodies become lines, and that nothing else does."""

import json

import pytest

from scripts.readiness import not_ok

GONE = {"ok": False, "detail": "http://127.0.0.1:9/v1: ConnectError"}


def test_each_check_that_is_not_ok_is_a_line() -> None:
    checks = {"model_server": GONE, "store": {"ok": True, "detail": "fine"}}
    body = json.dumps({"ready": True, "checks": checks}).encode()
    line = "not ok yet: llmgw: model_server: http://127.0.0.1:9/v1: ConnectError"
    assert list(not_ok("llmgw", body)) == [line]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"checks": 1}', b'{"checks": {"a": 1}}', b"[" * 9_999]
)
def test_body_of_another_shape_is_passed_over(body: bytes) -> None:
    assert list(not_ok("llmgw", body)) == []
