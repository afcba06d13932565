"""What a run says while it works: plain lines through one logger, `lmle`, for the terminal and Prefect's log alike."""

import logging
import time
from dataclasses import dataclass, field

LOGGER = logging.getLogger("lmle")
LOGGER.setLevel(logging.INFO)


def say(message: str) -> None:
    """One line of news."""
    LOGGER.info(message)


def stage_ended(stage: str, *, found: bool, seconds: float = 0.0) -> None:
    """Say that a stage has its artefact: made anew in so many seconds, or found done."""
    how = "found done" if found else f"done in {seconds:.1f} s"
    LOGGER.info(f"{stage:<12} {how}", extra={"stage": stage, "found": found})


@dataclass
class Progress:
    """How far a stage is; says so at most every `interval` seconds, and on a terminal as a bar.

    Callable with (done, total), so that it can be handed to `lmle_core` as a callback.

    Attributes:
        stage: the stage's name.
        unit: what is counted, as 'images'.
        interval: least seconds between two plain lines.
    """

    stage: str
    unit: str = ""
    interval: float = 5.0
    _said: float = field(default_factory=time.monotonic, repr=False)

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        """Report `done` of `total`, with a few words on the state, as 'loss 0.31'."""
        now = time.monotonic()
        due = now - self._said >= self.interval
        if due:
            self._said = now
        share = f" ({done / total:.0%})" if total else ""
        words = " ".join(word for word in (self.unit, detail) if word)
        LOGGER.log(
            logging.INFO if due else logging.DEBUG,
            f"{self.stage:<12} {done:,} of {total:,}{share}{' ' if words else ''}{words}",
            extra={"stage": self.stage, "progress": (done, total, words)},
        )
