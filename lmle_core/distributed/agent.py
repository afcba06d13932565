"""The agent of a training's processes on one machine: torchrun, which ends with its parent and tells why it failed."""

import logging
import os
import sys
from typing import Any

from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous.api import RendezvousError

from lmle_core.distributed.messages import end_with_parent, tell


def main(arguments: list[str]) -> int:
    """Start processes, and all of them anew where one dies.

    Args:
        arguments: of torchrun.

    Returns:
        0 when they have ended well, else 1.
    """
    end_with_parent()
    # Torch itself heeds LOGLEVEL in some modules of the agent only.
    logging.getLogger("torch.distributed.elastic").setLevel(os.environ.get("LOGLEVEL", "WARNING"))
    options = torchrun.parse_args(arguments)  # type: ignore[no-untyped-call]
    try:
        torchrun.run(options)  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        message: Any = failure.message  # of an exception: a dictionary, against torch's annotation
        reason = message["message"] if isinstance(message, dict) else message
        tell(failed=f"process {rank}, after {options.max_restarts} restarts: {reason}")
        return 1
    except RendezvousError as error:
        tell(failed=f"the nodes did not meet: {error}")
        return 1
    except SignalException:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
