"""A provider of access tokens on the loopback: refresh tokens that rotate, device codes, Dovecot's introspection."""

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

USER = "alice@customer.example"
SECRET = "application-secret"

Answer = tuple[int, dict[str, Any], dict[str, str]]
"""Status, JSON and headers."""


class Provider:
    """Knows ``refresh_token``, which is another after each use, and the access tokens that it gave."""

    def __init__(self) -> None:
        self.refresh_token = "refresh-1"
        self.access_tokens: set[str] = set()
        self.requests: list[dict[str, str]] = []
        self.odd: deque[Answer] = deque()
        """Answers to give instead of the usual ones, in order."""
        self.entered = False
        """Whether the person has entered the device code."""
        self.expires_in = 3600
        self.url = ""
        self.access_token = ""
        """The access token to give; ``""``: one that says how many were given."""
        self.hold = threading.Event()
        """While it is clear, requests are taken and not answered."""
        self.hold.set()

    def answer(self, path: str, form: dict[str, str]) -> Answer:
        if path == "/introspect":
            active = form.get("token") in self.access_tokens
            return 200, {"active": active, "username": USER if active else ""}, {}
        self.requests.append(form)
        self.hold.wait(30)
        if self.odd:
            return self.odd.popleft()
        if path == "/device":
            facts = {"device_code": "device-1", "user_code": "ABCD-EFGH", "verification_uri": "https://example/device"}
            return 200, facts | {"interval": 1, "expires_in": 60}, {}
        return self._token(form)

    def _token(self, form: dict[str, str]) -> Answer:
        kind = form.get("grant_type", "")
        if kind == "refresh_token" and form.get("refresh_token") != self.refresh_token:
            return refuse("invalid_grant", "the token was used before, or ended")
        if kind == "client_credentials" and form.get("client_secret") != SECRET:
            return refuse("invalid_client", "wrong secret")
        if kind.endswith("device_code") and not self.entered:
            return refuse("authorization_pending")
        number = len(self.access_tokens) + 1
        access_token = self.access_token or f"access-{number}"
        self.access_tokens.add(access_token)
        parse_grant: dict[str, Any] = {"access_token": access_token, "token_type": "Bearer"}
        parse_grant["expires_in"] = self.expires_in
        if kind != "client_credentials":
            self.refresh_token = f"refresh-{number + 1}"
            parse_grant["refresh_token"] = self.refresh_token
        return 200, parse_grant, {}


def refuse(error: str, description: str = "", status: int = 400, **headers: str) -> Answer:
    """The error response of RFC 6749 section 5.2."""
    return status, {"error": error, "error_description": description}, headers


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider that answers at ``url``/token, ``url``/device and ``url``/introspect."""
    running = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            status, answer, headers = running.answer(self.path, form)
            content = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name that http.server gives it
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    running.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
