"""A local HTTP server for one test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer


class LocalServer:
    """Answers POST requests on its own thread until it is closed, and records their headers.

    `answer` takes the path and the body of a request, and returns the status and the body of the response.
    """

    def __init__(self, answer: Callable[[str, bytes], tuple[int, bytes]]) -> None:
        self.received: list[dict[str, str]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request_body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append({key.lower(): value for key, value in self.headers.items()})
                status, body = answer(self.path, request_body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
