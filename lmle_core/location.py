"""Where data lie: a path, or the URL of a storage that fsspec has a driver for, such as `s3://bucket/folder`."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from upath import UPath

DRIVERS = {"s3": "`make setup` installs it, as does `pip install '.[s3]'`, in the checkout of lmle"}
"""What brings the driver of a protocol; fsspec's own message names the package of any other."""


class LocationError(OSError):
    """A storage that cannot be used; the message says why and what to do."""


def locate(place: object) -> Path | UPath:
    """A path as it is, a `file://` URL as the path that it names, any other URL as a path of its storage.

    Paths of a storage look at it each time: a listing that is remembered would hide what others write.

    Raises:
        ValueError: for what is neither, and for an unknown protocol.
    """
    if not isinstance(place, str | Path | UPath) or place == "":
        raise ValueError(f"expected a path or a URL, found {place!r}")
    path = UPath(place)
    if path.protocol in ("", "file", "local"):
        return Path(path.path)
    return UPath(str(path), **{**path.storage_options, "use_listings_cache": False})


Location = Annotated[
    Path | UPath,
    PlainValidator(locate),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "path"}),
]
"""A setting or a parameter that `locate` reads."""


@contextmanager
def reaching(place: Path | UPath) -> Iterator[None]:
    """Raise LocationError for whatever a storage's driver raises; a path's own errors say enough.

    Corner cases: a ValueError and the errors of archives pass, since they are about what was read.
    """
    try:
        yield
    except (LocationError, ValueError, zipfile.BadZipFile, zlib.error):
        raise
    except Exception as error:
        if isinstance(place, Path):
            raise
        raise LocationError(f"{place}: {_reason(place, error)}") from error


def _reason(place: UPath, error: Exception) -> str:
    said = str(error) or type(error).__name__
    match error:
        case ImportError():
            return (
                f"no driver for {place.protocol}:// is installed ({said}); {DRIVERS.get(place.protocol, 'install it')}"
            )
        case FileNotFoundError():
            return f"no such bucket, folder or file ({said}); check the URL"
        case PermissionError():
            return (
                f"the storage refuses ({said}); its driver needs the keys of somebody with rights there, for S3 in "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            )
        case _:
            return (
                f"the storage does not answer ({type(error).__name__}: {said}); check the URL and, where S3 is not "
                "Amazon's, AWS_ENDPOINT_URL"
            )
