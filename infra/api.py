"""One call of Prefect's API by plain HTTP: what needs no more than that does not import Prefect."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

BUSY = 503
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt."""


def call(method: str, url: str, body: Any = None, timeout: float = 60.0) -> Any:
    """Send a request with a JSON body; returns the answer's JSON, or None where the answer is empty.

    A server whose database is busy says so with status 503, and is asked again, as Prefect's own client does.

    Raises:
        OSError: where nothing answers; its kind `urllib.error.HTTPError` has the server's status in `code`.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    for seconds in (*PAUSES, None):
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                text = response.read()
            break
        except urllib.error.HTTPError as error:
            if error.code != BUSY or seconds is None:
                raise
            time.sleep(seconds)
    return json.loads(text) if text else None
