"""An interrupt arrives, also where Python would drop it."""

import gc
import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from flows.interrupts import interruptible


@pytest.fixture
def interrupting_collector() -> Iterator[list[int]]:
    """A garbage collector's callback during which this process gets SIGINT, once."""
    sent: list[int] = []

    def callback(phase: str, info: object) -> None:
        if not sent:
            sent.append(1)
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):  # the signal is taken between two of these
                pass

    gc.callbacks.append(callback)
    yield sent
    gc.callbacks.remove(callback)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_and_leaves_handlers_as_they_were(number: signal.Signals) -> None:
    before = signal.getsignal(number), sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), number)
        signal.pause()
    assert (signal.getsignal(number), sys.unraisablehook) == before


def test_a_dropped_interrupt_comes_again(interrupting_collector: list[int]) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        gc.collect()
        assert interrupting_collector
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            pass
        raise AssertionError("the interrupt was lost")
