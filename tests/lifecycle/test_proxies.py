"""Behind a real nginx and a real HAProxy, with the configuration that the how-to shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from support.engine import until
from support.privileges import needs
from support.server import STRATEGY, Server, free_port
from support.servers import wait_for_port

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "behind-a-proxy.md").read_text()
NAME = "pitboss.example.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    allowed = {"PITBOSS_ALLOWED_HOSTS": json.dumps([NAME, "*.trading.example"]), "PITBOSS_ROOT_PATH": "/pitboss"}
    with Server(tmp_path_factory.mktemp("data"), **allowed) as server:
        yield server


def shown(language: str, server: Server, port: int) -> str:
    """Answer the configuration of the page with our ports in it."""
    text = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}").replace(
        "listen 80;", f"listen 127.0.0.1:{port};").replace("bind :80", f"bind 127.0.0.1:{port}")  # fmt: skip


class Proxy:
    """A proxy in front of a server."""

    def __init__(self, program: str, server: Server, folder: Path, passes_path_on: bool) -> None:
        self.port = free_port()
        if program == "nginx":
            config = shown("nginx", server, self.port)
            if passes_path_on:
                config = config.replace(f":{server.port}/;", f":{server.port};")
            paths = "".join(
                f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            )
            (folder / "nginx.conf").write_text(
                f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\n"
                f"http {{ access_log off;\n{paths}{config}\n}}\n"
            )
            command = ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
        else:
            (folder / "haproxy.cfg").write_text(shown("haproxy", server, self.port))
            command = ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]
        program_path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
        assert program_path, f"{program} is not installed"
        self.process = subprocess.Popen(
            [program_path, *command[1:]], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        wait_for_port("127.0.0.1", self.port)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}/pitboss", headers={"Host": NAME}, timeout=20)

    def close(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(timeout=20)


def is_installed(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is not None


@pytest.fixture(params=["nginx", "nginx that passes the path on", "haproxy"])
def proxy(request, server, tmp_path):
    made = Proxy(request.param.split()[0], server, tmp_path, "passes" in request.param)
    until(lambda: made.http.get("/healthz").status_code == 200, 10, "the proxy reaches the server")
    yield made
    made.close()


pytestmark = needs(is_installed("nginx") and is_installed("haproxy"), "apt-get install nginx haproxy")


def test_everything_is_reached_under_the_name_and_path_of_the_proxy(proxy, server):
    first = proxy.http.get("/", headers={"Accept": "text/html"}).text
    assert 'href="/pitboss/docs"' in first
    docs = proxy.http.get("/docs").text
    assert "/pitboss/openapi.json" in docs
    for asset in re.findall(r'(?:src|href)="(/pitboss/docs/assets/[^"]+)"', docs):
        assert proxy.http.get(asset.removeprefix("/pitboss")).status_code == 200, asset
    assert proxy.http.get("/openapi.json").json()["servers"] == [{"url": "/pitboss"}]
    created = proxy.http.post("/api/v1/backtests", json={"name": f"over {proxy.port}", "params": {"strategy": STRATEGY, "symbols": ["S"], "timeframe": "5m"}})  # fmt: skip
    assert created.status_code == 201, created.text
    assert created.headers["Location"].startswith("/pitboss/api/v1/backtests/")
    assert proxy.http.get(created.headers["Location"].removeprefix("/pitboss")).status_code == 200


def test_other_names_and_origins_are_refused(proxy):
    for name, status in ((NAME, 200), ("a.trading.example", 200), ("evil.example.com", 403), ("trading.example", 403),
                         ("pitboss.example.com.evil.org", 403)):  # fmt: skip
        answer = httpx.get(f"http://127.0.0.1:{proxy.port}/pitboss/api/v1/runs", headers={"Host": name})
        assert answer.status_code in ((200,) if status == 200 else (403, 404)), (name, answer.text)
    refused = proxy.http.get("/api/v1/runs", headers={"Origin": "http://evil.org"})
    assert (refused.status_code, "evil.org" in refused.json()["detail"]) == (403, True)
    assert proxy.http.get("/api/v1/runs", headers={"Origin": f"https://{NAME}"}).status_code == 200


def test_events_come_through_at_once_and_head_is_answered(proxy, server):
    bars = "ts,open,high,low,close,volume\n" + "".join(
        f"2024-01-{d:02},{d},{d + 1},{d - 0.5},{d},1\n" for d in range(1, 29)
    )
    put = proxy.http.put(f"/api/v1/data/S{proxy.port}/1d", content=bars)
    assert put.status_code == 200, put.text
    run = proxy.http.post("/api/v1/runs", json={"kind": "backtest", "params": {"strategy": STRATEGY, "symbols": [f"S{proxy.port}"], "timeframe": "1d"}}).json()  # fmt: skip
    types = []
    with proxy.http.stream("GET", f"/api/v1/runs/{run['id']}/events") as stream:
        for line in stream.iter_lines():
            types += [line.removeprefix("event: ")] if line.startswith("event: ") else []
    assert types[0] == "queued"
    assert types[-1] == "completed"
    for path in ("/healthz", "/readyz", "/metrics", "/", "/docs", "/api/v1/runs", f"/api/v1/runs/{run['id']}",
                 f"/api/v1/runs/{run['id']}/artifacts/trades.parquet"):  # fmt: skip
        head = proxy.http.head(path)
        assert (head.status_code, head.content) == (200, b""), path


def test_http_1_0_without_a_host_is_answered_and_http_1_1_is_not(server):
    def ask(request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(request)
            return connection.recv(65_536).split(b"\r\n")[0]

    assert b"200" in ask(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert b"200" in ask(b"HEAD /readyz HTTP/1.0\r\n\r\n")
    assert b"40" in ask(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert b"403" in ask(b"GET /healthz HTTP/1.0\r\nHost: evil.org\r\n\r\n")
