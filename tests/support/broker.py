"""A paper account on this machine, with the protocol of Alpaca's trading API, that breaks as it is told."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

KEY, PRIVATE = "AKTEST", "a-long-secret-of-the-account"


class PaperAccount:
    """Fills what it is sent at `price` after `seconds`. `loses` is how many answers to orders get lost on their way,
    `is_down` that nobody answers, `refuses` what is said to every order; `sockets` counts who listens."""

    def __init__(self) -> None:
        self.price, self.seconds = 100.0, 0.0
        self.loses, self.is_down, self.refuses = 0, False, ""
        self.orders: dict[str, dict[str, Any]] = {}
        self.held: dict[str, float] = {}
        self.sockets: list[ServerConnection] = []
        self.doubled = 0
        handler = type("Own", (_Handler,), {"account": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._ws: Server = serve(self._listened, "127.0.0.1", 0)
        for target in (self._http.serve_forever, self._ws.serve_forever):
            threading.Thread(target=target, daemon=True).start()

    def __enter__(self) -> PaperAccount:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._ws.shutdown()

    @property
    def source(self) -> dict[str, Any]:
        port = self._ws.socket.getsockname()[1]
        url = f"http://127.0.0.1:{self._http.server_address[1]}"
        return {"type": "alpaca", "secret": "ALPACA", "trading_url": url, "stream_url": f"ws://127.0.0.1:{port}/stream"}

    def _listened(self, socket: ServerConnection) -> None:
        said = json.loads(socket.recv())
        ok = said["data"] == {"key_id": KEY, "secret_key": PRIVATE}
        socket.send(json.dumps({"stream": "authorization", "data": {"status": "authorized" if ok else "unauthorized"}}))
        json.loads(socket.recv())
        self.sockets.append(socket)
        try:
            while True:
                socket.recv()
        except ConnectionClosed:
            self.sockets.remove(socket)

    def taken(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """Take an order; None where there is one of its id already."""
        if asked["client_order_id"] in self.orders:
            self.doubled += 1
            return None
        order = {
            "id": str(uuid4()), "client_order_id": asked["client_order_id"], "symbol": asked["symbol"],
            "qty": str(asked["qty"]), "side": asked["side"], "status": "accepted", "filled_qty": "0",
            "filled_avg_price": None,
        }  # fmt: skip
        self.orders[asked["client_order_id"]] = order
        threading.Timer(self.seconds, self._filled, (order,)).start()
        return dict(order)

    def _filled(self, order: dict[str, Any]) -> None:
        if order["status"] != "accepted":
            return
        signed = float(order["qty"]) * (1 if order["side"] == "buy" else -1)
        self.held[order["symbol"]] = self.held.get(order["symbol"], 0.0) + signed
        order |= {"status": "filled", "filled_qty": order["qty"], "filled_avg_price": str(self.price)}
        for socket in list(self.sockets):
            socket.send(json.dumps({"stream": "trade_updates", "data": {"event": "fill", "order": order}}))


class _Handler(BaseHTTPRequestHandler):
    account: PaperAccount
    protocol_version = "HTTP/1.1"

    def _begin(self) -> bool:
        if self.account.is_down:
            self.connection.close()
            return False
        if self.headers["APCA-API-KEY-ID"] != KEY or self.headers["APCA-API-SECRET-KEY"] != PRIVATE:
            self._send(401, {"code": 40110000, "message": "unauthorized"})
            return False
        return True

    def do_GET(self) -> None:
        if not self._begin():
            return
        parts = urlsplit(self.path)
        if parts.path == "/v2/positions":
            self._send(200, [{"symbol": name, "qty": f"{qty:g}"} for name, qty in self.account.held.items() if qty])
        elif parts.path == "/v2/orders:by_client_order_id":
            found = self.account.orders.get(parse_qs(parts.query)["client_order_id"][0])
            self._send(200, found) if found else self._send(404, {"code": 40410000, "message": "order not found"})
        else:
            self._send(404, {"code": 40410000, "message": "endpoint not found"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._begin():
            return
        if self.account.refuses:
            self._send(403, {"code": 40310000, "message": self.account.refuses})
            return
        order = self.account.taken(asked)
        if self.account.loses:
            self.account.loses -= 1
            self.connection.close()
        elif order is None:
            self._send(422, {"code": 40010001, "message": "client_order_id must be unique"})
        else:
            self._send(200, order)

    def do_DELETE(self) -> None:
        if self._begin():
            for order in self.account.orders.values():
                if self.path.endswith(order["id"]) and order["status"] == "accepted":
                    order["status"] = "canceled"
            self.send_response(204)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...
