"""What processes of a training tell the one that started them, and that they end with it."""

import json
import os
import signal
import sys
import threading
import time
from typing import Any

MARK = "lmle-training "
PARENT = "LMLE_PARENT"
"""Environment variable: number of the process that a process is to end with."""


def tell(**message: Any) -> None:
    """Print a message that `told` finds among the other lines."""
    sys.stdout.write(f"{MARK}{json.dumps(message)}\n")
    sys.stdout.flush()


def told(line: str) -> dict[str, Any] | None:
    """The message of a line, or None where it is not one."""
    return json.loads(line.removeprefix(MARK)) if line.startswith(MARK) else None


def end_with_parent() -> None:
    """End this process by SIGTERM when its parent is gone, however that comes about."""
    parent = int(os.environ.get(PARENT, os.getppid()))
    os.environ[PARENT] = str(os.getpid())  # for the processes that this one starts

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
