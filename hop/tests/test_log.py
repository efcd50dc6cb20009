"""The log's lines: JSON, the same keys first, the call's ids on each. Text in memory."""

import errno
import io
import json
import logging

import trio

from hop.log import FromLibraries, bind_call, make_log


class FullDisk(io.StringIO):
    tried = 0

    def write(self, _: str) -> int:
        self.tried += 1
        raise OSError(errno.ENOSPC, "no space left on device")


async def test_every_line_has_the_same_keys_when_no_call_is_bound() -> None:
    out = io.StringIO()
    make_log("qs", "info", out).info("serving", port=1)
    line = json.loads(out.getvalue())
    assert list(line) == ["ts", "level", "service", "event", "trace_id", "request_id", "port"]
    assert (line["service"], line["request_id"], line["port"]) == ("qs", None, 1)


async def test_the_ids_are_on_lines_of_child_tasks_when_a_call_is_bound() -> None:
    out = io.StringIO()
    log = make_log("qs", "info", out)

    async def child() -> None:
        log.info("inside")

    async def call(request_id: str) -> None:
        bind_call(request_id, "t" * 32)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
        log.info("after")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, "one")
        nursery.start_soon(call, "two")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert sorted((line["event"], line["request_id"]) for line in lines) == [
        ("after", "one"),
        ("after", "two"),
        ("inside", "one"),
        ("inside", "two"),
    ]


async def test_lines_below_the_level_are_dropped() -> None:
    out = io.StringIO()
    log = make_log("qs", "warning", out)
    log.info("no")
    log.warning("yes")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["yes"]


async def test_a_line_that_cannot_be_written_is_lost_and_nothing_fails() -> None:
    out = io.StringIO()
    log = make_log("qs", "info", out)
    out.close()
    log.info("nobody reads this")
    full = FullDisk()
    make_log("qs", "info", full).error("nor this")
    assert full.tried == 1


def test_what_a_library_logs_is_a_line_like_any_other() -> None:
    out = io.StringIO()
    handler = FromLibraries(make_log("qs", "info", out))
    logger = logging.Logger("trio.serve_listeners")
    logger.addHandler(handler)
    logger.error("accept returned %s", "EMFILE", exc_info=True)
    (line,) = (json.loads(line) for line in out.getvalue().splitlines())
    assert (line["logger"], line["detail"]) == ("trio.serve_listeners", "accept returned EMFILE")


async def test_an_exception_is_one_line_when_it_is_logged() -> None:
    out = io.StringIO()
    try:
        raise ValueError("a cause\nof two lines")
    except ValueError:
        make_log("qs", "info", out).exception("unforeseen")
    (text,) = out.getvalue().splitlines()
    assert "ValueError" in json.loads(text)["exception"]
