"""One call of Prefect's API by plain HTTP: what needs no more than that does not import Prefect."""

import json
import urllib.request
from typing import Any


def call(method: str, url: str, body: Any = None, timeout: float = 60.0) -> Any:
    """Send a request with a JSON body; returns the answer's JSON, or None where the answer is empty.

    Raises:
        OSError: where nothing answers; its kind `urllib.error.HTTPError` has the server's status in `code`.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=timeout) as response:
        text = response.read()
    return json.loads(text) if text else None
