"""What the `lmle` command ends with: an exit code and one message for each kind of error."""

import os
import traceback
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    USAGE = 2
    INTERRUPTED = 3
    FAILED = 4
    REFUSED = 5


class UsageError(ValueError):
    """Wrong usage or input; the message says what was expected, what was found and what to do."""


class BeginsAnewError(RuntimeError):
    """An interrupted command that has nothing to continue from."""


# By name, so that nothing heavy is imported to explain an error.
CODES = {
    "UsageError": Exit.USAGE,
    "ClickException": Exit.USAGE,  # of the command line's parser
    "ConfigError": Exit.USAGE,
    "DataError": Exit.USAGE,
    "LocationError": Exit.USAGE,
    "UnusableDataError": Exit.USAGE,
    "NoRoomError": Exit.USAGE,
    "PortInUseError": Exit.USAGE,
    "RollbackError": Exit.USAGE,
    "PostgresError": Exit.USAGE,
    "QualityGateError": Exit.REFUSED,
    "Abort": Exit.INTERRUPTED,
    "BeginsAnewError": Exit.INTERRUPTED,
    "KeyboardInterrupt": Exit.INTERRUPTED,
    "TerminationSignal": Exit.INTERRUPTED,
}

OURS = ("flows", "tasks", "infra", "lmle_core", "click", "typer", "prefect", "builtins")
"""Packages whose errors these are; a database's DataError is another."""


def explain(error: BaseException) -> tuple[Exit, str]:
    """The exit code and the message for an error, without a traceback unless LMLE_DEBUG is set.

    An error raised from another one of a known kind counts as that one.
    """
    known: BaseException | None = error
    while known is not None and _code(known) is None:
        known = known.__cause__ or known.__context__
    code = (_code(known) if known is not None else None) or Exit.FAILED
    shown = error if known is None else known
    message = str(shown) or type(shown).__name__
    if hasattr(shown, "format_message"):  # the parser's errors name the option there
        message = shown.format_message()
    if code is Exit.INTERRUPTED:
        anew = isinstance(shown, BeginsAnewError)
        message = f"interrupted; the same command {'begins anew' if anew else 'continues where this one stopped'}"
    elif type(shown).__name__ == "ConnectError":  # of Prefect's client
        message = f"Prefect's server does not answer any more ({message}); when it does, the same command goes on"
    elif code is Exit.FAILED and not isinstance(shown, RuntimeError):
        message = f"{type(shown).__name__}: {message}"
    if os.environ.get("LMLE_DEBUG"):
        message = "".join(traceback.format_exception(error)) + message
    elif code is Exit.FAILED:
        message += "\n(LMLE_DEBUG=1 shows where)"
    return code, message


def _code(error: BaseException) -> Exit | None:
    for kind in type(error).__mro__:
        if kind.__name__ in CODES and kind.__module__.partition(".")[0] in OURS:
            return CODES[kind.__name__]
    return None
