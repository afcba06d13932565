"""The `lmle` command."""

import os
import select
import sys
import threading
from contextlib import suppress

import typer

from flows.commands import models, services, training, upkeep
from flows.commands.options import chosen
from flows.exits import Exit, explain
from flows.interrupts import arrived
from infra.settings import without_proxy, workspace_path
from lmle_core.room import is_full

STDOUT = 1
GRACE = 15.0
"""Seconds after an error in which the process ends by itself, or is ended."""
SIGINT_CODE = 130
"""What the command line's parser makes of a KeyboardInterrupt."""

app = typer.Typer(
    name="lmle",
    help="Large Margin Local Embedding: classification of imbalanced image labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 a service is down (status), 2 wrong usage or input, 3 interrupted and resumable, "
    "4 a stage failed, 5 a quality gate refused.",
)

COMMANDS = {
    "Train": (training.run, training.retrain, training.compare, training.study, training.join),
    "Use": (
        models.runs,
        models.show,
        models.report,
        models.predict,
        models.neighbours,
        models.champions,
        models.rollback,
    ),
    "Services": (services.up, services.status, services.down),
    "Set up and keep up": (upkeep.config, upkeep.synth, upkeep.doctor, upkeep.gc, upkeep.bench),
}
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command, and end with one message and an exit code (see `Exit`).

    Args:
        arguments: of the command line; None: the process's own.
    """
    without_proxy()
    arrived.clear()
    try:
        code = app(arguments, standalone_mode=False)
        print(end="", flush=True)
        if code == SIGINT_CODE:
            raise KeyboardInterrupt
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        cause = error.__context__ if isinstance(error, SystemExit) else error  # the parser exits at a broken pipe
        if cause is None:
            raise
        if isinstance(cause, BrokenPipeError) and _unread():  # as in `lmle show | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # for what is still buffered
            sys.exit(Exit.DONE)
        code, message = explain(KeyboardInterrupt() if arrived.is_set() else cause)
        if code is Exit.FAILED:
            message += _about_the_disk()
        print(f"lmle: {message}", file=sys.stderr, flush=True)
        if arguments is None:
            _end_within(GRACE, code)
    sys.exit(code if isinstance(code, int) else Exit.DONE)


def _about_the_disk() -> str:
    """A line where the workspace's disk is full, of which servers say nothing."""
    with suppress(OSError):  # a workspace that is none
        workspace = workspace_path(*chosen)
        if is_full(workspace):
            return f"\nthe disk of {workspace} is full: make room, then start the same command again"
    return ""


def _end_within(seconds: float, code: int) -> None:
    """End this process even where threads do not: clients of servers that are gone ask on and on."""
    end = threading.Timer(seconds, os._exit, [code])
    end.daemon = True
    end.start()


def _unread() -> bool:
    """Whether stdout is a pipe that nobody reads any more."""
    stdout = select.poll()
    stdout.register(STDOUT, 0)
    return any(event & select.POLLERR for _, event in stdout.poll(0))


if __name__ == "__main__":
    main()
