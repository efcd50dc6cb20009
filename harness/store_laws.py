"""What every `Store` must do: one suite, run on the one in memory, on SQLite and on real servers.

    class TestSomeStore(StoreLaws): …     with a fixture `store` that is prepared and empty

`a_turn` makes turns; what it is not told is the same for each.
"""

from typing import Final

import attrs
import pytest

from contracts.chat import Citation, Source, Usage
from contracts.limits import (
    ANSWER_MAX_CHARS,
    CHUNK_ID_CHARS,
    CITATIONS_MAX,
    FEEDBACK_COMMENT_CHARS,
    MESSAGE_CHARS,
    REQUEST_ID_CHARS,
    SESSION_ID_CHARS,
    SNIPPET_CHARS,
    TITLE_CHARS,
    TOKENS_MAX,
    URL_CHARS,
)
from contracts.reasons import ReasonCode
from qs.store.port import Asked, Ended, Feedback, KeptTurn, Session, Store, TurnStatus

OWNER, SESSION = "0123456789abcdef", "5e" * 16
ASKED_MS: Final = 1_800_000_000_000
# Every script, what SQL and its drivers give a meaning to, and what breaks careless ones.
TEXTS: Final = (
    "'; DROP TABLE turns; -- \" ` \\ % _ ? :name %s {0} \\' /* */ # @@version",
    "한국어 日本語 中文 العربية हिन्दी ελληνικά 😀👩‍👩‍👧 e\u0301 \u202eabc\u202c",
    "NUL \0, \x7f, U+2028 \u2028, \r\n\t, last of the planes \U0010ffff",
    " leading and trailing blanks  ",
    "",
)


def a_turn(
    number: int,
    status: TurnStatus = "ok",
    *,
    opens: bool | None = None,
    session_id: str = SESSION,
    owner: str = OWNER,
    request_id: str | None = None,
    question: str = "Why?",
) -> KeptTurn:
    """A turn; the first one opens its session."""
    asked = Asked(
        turn_id=f"{number:032x}",
        request_id=request_id or f"r-{number}",
        trace_id="ab" * 16,
        session_id=session_id,
        owner=owner,
        opens=number == 1 if opens is None else opens,
        question=question,
        asked_ms=ASKED_MS + number,
        prompt_version="1",
    )
    code = {"ok": None, "fallback": ReasonCode.MODEL_ABSTAINED}.get(
        status, ReasonCode.CLIENT_DISCONNECTED
    )
    usage = Usage(7, 11) if status == "ok" else None
    ended = Ended(status, code, "m", usage, {"total": 5}, ASKED_MS + number + 5)
    sources = (
        Source("d#1", "d", "First", "https://x.example/1", "One", 0.25),
        Source("d#2", "d", None, None, "", 1.0),
    )
    cited = (Citation("d#2", "c2", None, None), Citation("d#1", "c1", "First", "https://x"))
    ok = status == "ok"
    hashes = {"d#1": "1f" * 32, "d#2": "2f" * 32}
    return KeptTurn(
        asked, ended, f"Answer {number}." if ok else None, sources, cited if ok else (), hashes
    )


class StoreLaws:
    """The suite."""

    async def test_turns_come_back_as_they_were_when_read_newest_first(self, store: Store) -> None:
        turns = [a_turn(1), a_turn(2, "fallback"), a_turn(3, "gone"), a_turn(4)]
        await store.put(turns[:1])
        await store.put(turns[1:])
        transcript = await store.read(SESSION, OWNER, 10)
        assert transcript is not None
        assert transcript.session == Session(SESSION, OWNER, ASKED_MS + 1, ASKED_MS + 4)
        assert transcript.turns == tuple(reversed(turns))
        assert transcript.complete
        newest = await store.read(SESSION, OWNER, 2)
        assert newest is not None
        assert newest.turns == (turns[3], turns[2])

    async def test_nothing_is_told_when_a_session_is_unknown_or_somebody_elses(
        self, store: Store
    ) -> None:
        await store.put([a_turn(1)])
        assert await store.read(SESSION, "", 10) is None
        assert await store.read(SESSION.upper(), OWNER, 10) is None
        assert await store.read("'; --", OWNER, 10) is None
        assert not await store.erase(SESSION, "other")
        assert await store.read(SESSION, OWNER, 10) is not None

    async def test_turn_is_kept_once_when_put_again(self, store: Store) -> None:
        await store.put([a_turn(1), a_turn(1)])
        await store.put([a_turn(1)])
        transcript = await store.read(SESSION, OWNER, 10)
        assert transcript is not None
        assert transcript.turns == (a_turn(1),)

    @pytest.mark.parametrize(
        ("earlier", "later", "kept"),
        [
            ("ok", "ok", 2),
            ("fallback", "ok", 2),
            ("gone", "fallback", 2),
            ("interrupted", "error", 2),
            ("fallback", "fallback", 2),
            ("ok", "fallback", 1),
            ("ok", "gone", 1),
            ("fallback", "interrupted", 1),
        ],
    )
    async def test_better_or_later_attempt_stands_when_a_request_is_repeated(
        self, store: Store, earlier: TurnStatus, later: TurnStatus, kept: int
    ) -> None:
        first = a_turn(1, earlier, request_id="same")
        second = a_turn(2, later, request_id="same")
        await store.put([first])
        await store.put([second])
        transcript = await store.read(SESSION, OWNER, 10)
        assert transcript is not None
        assert transcript.turns == ((first, second)[kept - 1],)

    async def test_request_ids_are_told_apart_when_owner_or_case_differ(self, store: Store) -> None:
        others = [
            a_turn(1, request_id="r"),
            a_turn(2, request_id="R"),
            a_turn(3, request_id="r", owner="", session_id="other", opens=True),
        ]
        await store.put(others)
        mine = await store.read(SESSION, OWNER, 10)
        theirs = await store.read("other", "", 10)
        assert mine is not None and theirs is not None
        assert (len(mine.turns), len(theirs.turns)) == (2, 1)

    async def test_repeat_in_another_session_moves_the_turn_and_makes_that_session(
        self, store: Store
    ) -> None:
        await store.put([a_turn(1, request_id="same")])
        await store.put([a_turn(2, request_id="same", session_id="two", opens=True)])
        one, two = await store.read(SESSION, OWNER, 9), await store.read("two", OWNER, 9)
        assert one is not None and two is not None
        assert (len(one.turns), len(two.turns)) == (0, 1)

    async def test_erased_session_stays_erased_when_a_late_turn_of_it_comes(
        self, store: Store
    ) -> None:
        await store.put([a_turn(1), a_turn(2)])
        assert await store.erase(SESSION, OWNER)
        assert not await store.erase(SESSION, OWNER)
        await store.put([a_turn(3), a_turn(4, session_id="two", opens=True)])
        assert await store.read(SESSION, OWNER, 10) is None
        assert not await store.rate("r-1", OWNER, Feedback("up", None, 1))
        assert not await store.rate("r-3", OWNER, Feedback("up", None, 1))
        assert await store.read("two", OWNER, 10) is not None, "the others of its batch are kept"

    async def test_feedback_is_kept_with_its_turn_when_given_and_given_again(
        self, store: Store
    ) -> None:
        await store.put([attrs.evolve(a_turn(1), feedback=Feedback("up", None, 1)), a_turn(2)])
        latest = Feedback("down", TEXTS[0], 2)
        assert await store.rate("r-1", OWNER, latest)
        assert await store.rate("r-1", OWNER, latest)
        assert not await store.rate("r-1", "other", Feedback("up", None, 3))
        assert not await store.rate("R-1", OWNER, Feedback("up", None, 3))
        transcript = await store.read(SESSION, OWNER, 10)
        assert transcript is not None
        assert [turn.feedback for turn in transcript.turns] == [None, latest]

    async def test_feedback_that_came_with_an_attempt_is_kept_when_an_earlier_one_stands(
        self, store: Store
    ) -> None:
        given = [Feedback("up", None, 1), Feedback("down", "no", 3), Feedback("up", None, 2)]
        await store.put([a_turn(1)])
        for number, feedback in enumerate(given, 1):
            worse = a_turn(number, "ok" if number == 1 else "gone", request_id="r-1", opens=True)
            await store.put([attrs.evolve(worse, feedback=feedback)])
        transcript = await store.read(SESSION, OWNER, 10)
        assert transcript is not None
        assert transcript.turns == (attrs.evolve(a_turn(1), feedback=given[1]),)

    async def test_sessions_unused_for_long_go_with_all_of_theirs_when_purged(
        self, store: Store
    ) -> None:
        old = [a_turn(n, session_id=f"old-{n}", opens=True) for n in range(1, 4)]
        used = [a_turn(4, opens=True), a_turn(1_000)]
        await store.put([*old, *used])
        assert await store.purge(ASKED_MS + 500) == 3
        assert await store.purge(ASKED_MS + 500) == 0
        assert await store.read("old-1", OWNER, 10) is None
        assert not await store.rate("r-2", OWNER, Feedback("up", None, 1))
        transcript = await store.read(SESSION, OWNER, 10)
        assert transcript is not None
        assert transcript.turns == (used[1], used[0])

    @pytest.mark.parametrize("text", TEXTS)
    async def test_any_text_comes_back_as_it_was(self, store: Store, text: str) -> None:
        source = Source("d#1", "d", text, text, text, 0.1 + 0.2)
        turn = attrs.evolve(
            a_turn(1, question=text),
            answer=text,
            sources=(source,),
            citations=(Citation("d#1", "c1", text, text),),
            content_hashes={},
            feedback=Feedback("down", text, 1),
        )
        await store.put([turn])
        transcript = await store.read(SESSION, OWNER, 1)
        assert transcript is not None
        assert transcript.turns == (turn,)

    async def test_the_longest_of_everything_is_kept_whole(self, store: Store) -> None:
        wide = "\U0001f600"  # four bytes each
        session_id, chunk = "s" * SESSION_ID_CHARS, wide * CHUNK_ID_CHARS
        asked = attrs.evolve(
            a_turn(1, question=wide * MESSAGE_CHARS).asked,
            session_id=session_id,
            request_id="R" * REQUEST_ID_CHARS,
        )
        title, url = wide * TITLE_CHARS, wide * URL_CHARS
        turn = KeptTurn(
            asked,
            Ended("ok", None, wide * 300, Usage(TOKENS_MAX, TOKENS_MAX), {"t": 2**40}, 2**50),
            wide * ANSWER_MAX_CHARS,
            tuple(
                Source(f"{n:02}{chunk[2:]}", chunk, title, url, wide * SNIPPET_CHARS, 1e300)
                for n in range(20)
            ),
            tuple(Citation(chunk, f"c{n}", title, url) for n in range(CITATIONS_MAX)),
            {},
            Feedback("up", wide * FEEDBACK_COMMENT_CHARS, 2**50),
        )
        await store.put([turn])
        transcript = await store.read(session_id, OWNER, 1)
        assert transcript is not None
        assert transcript.turns == (turn,)

    async def test_it_is_ready_when_prepared_again(self, store: Store) -> None:
        await store.put([a_turn(1)])
        await store.prepare()
        state = await store.check()
        assert (state.ok, state.detail) == (True, "1 sessions")
