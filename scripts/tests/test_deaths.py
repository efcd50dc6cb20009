"""A program that dies: started again, later each time, until it dies too often."""

from scripts.deaths import Deaths


def test_pause_doubles_and_the_third_death_in_ten_seconds_is_the_last() -> None:
    deaths = Deaths()
    assert [deaths.pause_after(now) for now in (0.0, 4.0, 9.9)] == [0.2, 0.4, None]


def test_deaths_long_ago_are_forgotten() -> None:
    deaths = Deaths()
    assert [deaths.pause_after(now) for now in (0.0, 10.0, 20.0, 30.0)] == [0.2, 0.2, 0.2, 0.2]
