"""Progress in plain lines: shares, rates, the time left, and work that is more than was foreseen."""

import time

import pytest

from lossscape.progress import Progress


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
