"""Progress in plain lines: shares, rates, the time left, and work that is more than was foreseen."""

import time

import pytest

from lossscape.progress import Progress, duration


def test_a_line_says_the_share_the_rate_and_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("work", 100, "points", rate=10.0) as progress:
        progress.advance(0)
        time.sleep(0.31)
        progress.advance(50)
    line = capsys.readouterr().err
    assert line.startswith("work: 50 %, ")
    assert "points/s" in line
    assert line.endswith(" left\n")


def test_work_beyond_what_was_foreseen_is_not_told_as_more_than_all(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("work", 100, "points") as progress:
        progress.advance(0)
        time.sleep(0.31)
        progress.advance(150)
    line = capsys.readouterr().err
    assert line.startswith("work: 99 %, ")
    assert line.endswith("little left\n")
    assert "-" not in line


def test_nothing_is_said_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("work", 1, "points", quiet=True) as progress:
        progress.advance(1)
        progress.announce("done")
    assert not capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "words"), [
    (0.0, "0.0 s"), (8.8e-5, "88 µs"), (9.9949e-4, "999 µs"), (9.996e-4, "1 ms"), (0.0998, "99.8 ms"),
    (0.0999999, "100 ms"),
    (0.1, "0.1 s"), (9.94, "9.9 s"), (59.4, "59 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"),
])  # fmt: skip
def test_durations_have_units_and_no_powers_of_ten(seconds: float, words: str) -> None:
    assert duration(seconds) == words
