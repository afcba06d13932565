"""What a run says reaches the terminal, and stages are counted."""

import logging

import pytest

from flows.console import progress_shown
from tasks.progress import Progress, say, stage_ended


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("lmle")
    before = list(logger.handlers), logger.level, logger.propagate
    with progress_shown() as stages:
        say("begin [not markup]")
        progress = Progress("ingest", "images", interval=0)
        progress(500, 1000)
        progress(1000, 1000, "loss 0.3")
        Progress("ingest", "images", interval=60)(1, 1000)  # too soon
        stage_ended("ingest", found=False, seconds=1.25)
        stage_ended("prior", found=True)
    assert capsys.readouterr().err.splitlines() == [
        "begin [not markup]",
        "ingest       500 of 1,000 (50%) images",
        "ingest       1,000 of 1,000 (100%) images loss 0.3",
        "ingest       done in 1.2 s",
        "prior        found done",
    ]
    assert (stages.found, stages.anew) == (1, 1)
    assert (list(logger.handlers), logger.level, logger.propagate) == before


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    monkeypatch.setenv("COLUMNS", "100")
    with progress_shown():
        progress = Progress("train 1", "iterations")
        for step in range(3):
            progress(step + 1, 3)
        stage_ended("train", found=False, seconds=2)
    said = capsys.readouterr().err
    assert "train        done in 2.0 s" in said
    assert said.count("\n") < 6  # the bar is gone
