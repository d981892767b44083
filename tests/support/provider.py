"""A provider of models on this machine, with the protocol of OpenAI's chat completions, that behaves as it is told."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler", dict[str, Any]], None]


def called(body: dict[str, Any]) -> bool:
    """Answer whether the model has been answered what its tools said in this decision."""
    return body["messages"][-1]["role"] == "tool"


class Provider:
    """Serves until it is closed; `behaviour` does with each request what it likes. `asked` are the requests so far."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or hold
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        handler = type("Own", (Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Provider:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    provider: Provider
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.provider.asked.append(body)
        self.provider.headers.append(dict(self.headers))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.provider.behaviour(self, body)

    def log_message(self, *_: object) -> None: ...

    def send(self, status: int, content: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def answer(self, text: str | None = None, calls: list[tuple[str, dict[str, Any]]] = (), tokens: int = 100) -> None:
        """Answer a completion: a text, or calls of tools."""
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = [
                {"id": f"call-{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
                for at, (name, arguments) in enumerate(calls)
            ]
        finished = "tool_calls" if calls else "stop"
        said = {
            "id": "c-1", "object": "chat.completion", "created": 1, "model": "local",
            "choices": [{"index": 0, "message": message, "finish_reason": finished}],
            "usage": {"prompt_tokens": tokens, "completion_tokens": 10, "total_tokens": tokens + 10},
        }  # fmt: skip
        self.send(200, json.dumps(said).encode())


def hold(handler: Handler, body: dict[str, Any]) -> None:
    handler.answer("nothing to do")


def trade(handler: Handler, body: dict[str, Any]) -> None:
    """Buy one share, and say so."""
    if called(body):
        handler.answer("bought one")
    else:
        handler.answer(calls=[("buy", {"symbol": "SYN", "quantity": 1, "reason": "it rises"})])


def greedy(handler: Handler, body: dict[str, Any]) -> None:
    """Want a million shares, and take the refusal as an answer."""
    if called(body):
        handler.answer(f"I was told: {body['messages'][-1]['content'][:60]}")
    else:
        handler.answer(calls=[("buy", {"symbol": "SYN", "quantity": 1_000_000})])


def inventive(handler: Handler, body: dict[str, Any]) -> None:
    """Call a tool that there is not, however often it is told so."""
    handler.answer(calls=[("fly_to_the_moon", {})])


def status(code: int, **headers: str) -> Behaviour:
    def behave(handler: Handler, body: dict[str, Any]) -> None:
        handler.send(code, b'{"error": {"message": "not now"}}', **headers)

    return behave


def garbage(handler: Handler, body: dict[str, Any]) -> None:
    handler.send(200, b"<html>well</html>")


def half(handler: Handler, body: dict[str, Any]) -> None:
    """Begin an answer, and hang up in the middle."""
    handler.send(200, b'{"id": "c-1", "object": "chat.com', length=1000)
    handler.close_connection = True


def silent(handler: Handler, body: dict[str, Any]) -> None:
    """Say nothing for as long as anybody waits."""
    time.sleep(3600)


def slow(seconds: float) -> Behaviour:
    def behave(handler: Handler, body: dict[str, Any]) -> None:
        time.sleep(seconds)
        handler.answer("after some thought: nothing to do")

    return behave
