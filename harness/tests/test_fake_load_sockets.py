"""Goal: many paced streams at once lose no frame and mix no bytes.

Method: one real fake in a process of its own; what each stream must be is planned beforehand.
Lateness is printed and not judged: it is the machine's as much as the server's.
"""

from harness.fake_load import TOKENS, load

# A thousand take more open files than a shell usually grants: `python -m harness.fake_load 1000`.
STREAMS = 1_000


def test_every_stream_is_whole_and_its_own_when_a_thousand_are_paced_at_once() -> None:
    figures = load(STREAMS)
    print(figures)
    assert figures.exact == STREAMS, str(figures)
    assert figures.frames == figures.frames_planned >= STREAMS * TOKENS
    assert len(figures.lateness_s) >= STREAMS * TOKENS
