"""An HTTP server that is busy at first."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@contextmanager
def busy_server(refusals: int) -> Iterator[int]:
    """The port of a server that answers the first requests with 503, and the others with 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal refusals
            refusals -= 1
            self.send_response(503 if refusals >= 0 else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
