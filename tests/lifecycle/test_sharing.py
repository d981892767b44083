"""A server that two traders share: really served over TLS, guessed at, cut off, and worked at from elsewhere."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import trustme

from support.engine import until
from support.privileges import may_make_hosts
from support.server import STRATEGY, Server, free_port, pitboss
from support.servers import Hosts, wait_for_port
from support.terminal import at_the_question

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "share-a-server.md").read_text()
PASSWORD = "correct horse battery"
NAME = "pitboss.example.com"
TRIES = int(os.environ.get("PITBOSS_TEST_TRIES", 60))  # of each name, whose times are compared


def shared(folder, *names, **accounts):
    """Make Ann the first administrator, and traders beside her."""
    done = pitboss("users", "init", "ann", data_dir=folder, input=PASSWORD)
    assert done.returncode == 0, done.stderr
    for name in names:
        done = pitboss("users", "add", name, data_dir=folder, input=PASSWORD)
        assert done.returncode == 0, done.stderr


def token_of(folder, name, scope="run"):
    made = pitboss("tokens", "create", "--name", "test", "--account", name, "--scope", scope, data_dir=folder)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    shared(folder, "bob", "eve")
    with SharedServer(folder) as server:
        server.http.headers["Authorization"] = f"Bearer {token_of(folder, 'bob')}"
        yield server


class SharedServer(Server):
    """One that does not tell strangers how many workers it has."""

    def is_ready(self):
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


def sign_in(server, name, password, **headers):
    return httpx.post(f"http://127.0.0.1:{server.port}/api/v1/session", json={"name": name, "password": password},
                      headers=headers, timeout=30)  # fmt: skip


def test_a_thousand_guesses_in_a_minute_get_nowhere_and_the_owner_still_signs_in(server):
    device = sign_in(server, "bob", PASSWORD).cookies["pitboss_device"]
    answers, began = [], time.monotonic()

    def guess(start):
        there = {"X-Forwarded-For": "203.0.113.9"}
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}/api/v1", headers=there, timeout=30) as http:
            for number in range(start, 1000, 8):
                answers.append(http.post("/session", json={"name": "bob", "password": f"guess number {number}"}))

    threads = [threading.Thread(target=guess, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 60
    tried = [answer for answer in answers if answer.status_code == 401]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(tried) + len(refused) == 1000
    assert len(tried) <= 14
    assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in refused)
    assert all("try again in" in answer.json()["remedy"] for answer in refused)
    assert sign_in(server, "bob", PASSWORD).status_code == 201  # from another address
    there = {"X-Forwarded-For": "203.0.113.9"}
    until(
        lambda: waits(sign_in(server, "bob", "one more guess", **there)) > 1, 10, "a guess that has to wait for seconds"
    )
    assert sign_in(server, "bob", PASSWORD, **there).status_code == 429
    assert sign_in(server, "bob", PASSWORD, Cookie=f"pitboss_device={device}", **there).status_code == 201


def waits(answer):
    return int(answer.headers.get("Retry-After", 0))


def test_the_time_of_an_answer_does_not_tell_whether_there_is_such_an_account(server):
    taken = {"bob": [], "nobody": []}
    for number in range(TRIES):
        for name, seconds in taken.items():  # each guess from an address of its own: none has to wait
            there = {"X-Forwarded-For": f"198.18.{number}.{len(name)}"}
            began = time.perf_counter()
            answer = sign_in(server, name, "no such password", **there)
            seconds.append(time.perf_counter() - began)
            assert (answer.status_code, answer.json()["detail"]) == (401, "the name or the password is wrong")
    known, unknown = (statistics.median(seconds) for seconds in taken.values())
    spread = statistics.median(abs(second - known) for second in taken["bob"])
    assert abs(known - unknown) < max(3 * spread, 0.1 * known), (known, unknown, spread)


def test_whoever_is_disabled_is_cut_off_within_a_second_in_the_middle_of_a_stream(server):
    eve = token_of(server.data_dir, "eve")
    headers = {"Authorization": f"Bearer {eve}"}
    pitboss("data", "synth", "-s", "SYN", "-t", "5m", "--days", 2, data_dir=server.data_dir)
    pitboss("data", "share", "-s", "SYN", "-t", "5m", data_dir=server.data_dir)
    body = {"kind": "sweep", "params": {"strategy": STRATEGY, "symbols": ["SYN"], "timeframe": "5m",
            "grid": {"slow_period": {"low": 50, "high": 400, "step": 1}, "fast_period": {"low": 2, "high": 100, "step": 1}}}}  # fmt: skip
    run = server.http.post("/runs", json=body, headers=headers).json()["id"]
    until(lambda: server.http.get(f"/runs/{run}", headers=headers).json()["state"] == "running", 30, "it runs")
    with server.http.stream("GET", f"/runs/{run}/events", headers=headers) as stream:
        lines = stream.iter_lines()
        next(lines)
        pitboss("users", "disable", "eve", data_dir=server.data_dir)
        disabled = time.monotonic()
        assert server.http.get("/runs", headers=headers).status_code == 401, "at once"
        for _ in lines:
            pass
        assert time.monotonic() - disabled < 3.0
    assert json.loads(pitboss("runs", "show", run, "--json", data_dir=server.data_dir).stdout)["state"] == "running"
    done = pitboss("users", "disable", "eve", "--cancel-runs", data_dir=server.data_dir)
    assert "1 runs are cancelled" in done.stdout


def test_a_share_that_is_taken_back_ends_a_stream_too(server):
    pitboss("users", "add", "fay", data_dir=server.data_dir, input=PASSWORD)
    fay = {"Authorization": f"Bearer {token_of(server.data_dir, 'fay')}"}
    body = {"kind": "sweep", "params": {"strategy": STRATEGY, "symbols": ["SYN"], "timeframe": "5m",
            "grid": {"slow_period": {"low": 50, "high": 400, "step": 1}, "fast_period": {"low": 2, "high": 100, "step": 1}}}}  # fmt: skip
    run = server.http.post("/runs", json=body).json()["id"]
    share = server.http.post(f"/runs/{run}/shares", json={"account": "fay"}).json()
    until(lambda: server.http.get(f"/runs/{run}", headers=fay).json()["state"] == "running", 30, "it runs")
    with server.http.stream("GET", f"/runs/{run}/events", headers=fay) as stream:
        lines = stream.iter_lines()
        next(lines)
        server.http.delete(f"/runs/{run}/shares/{share['id']}")
        taken_back = time.monotonic()
        for _ in lines:
            pass
        assert time.monotonic() - taken_back < 5.0
    server.http.post(f"/runs/{run}/cancel")


def test_accounts_that_are_made_while_it_serves_are_asked_for(tmp_path):
    with Server(tmp_path) as server:
        assert server.http.get("/runs").status_code == 200
        shared(tmp_path)
        until(lambda: server.http.get("/runs").status_code == 401, 2, "it asks who is there")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "nothing is encrypted"),
        (("--tls-cert", "nothing.pem"), "go together"),
        (("--tls-cert", "nothing.pem", "--tls-key", "nothing.key"), "certificate and key cannot be used"),
        (("--behind-proxy", "not an address"), "behind_proxy"),
        (("--behind-proxy", "10.0.0.2"), "there are no accounts"),
    ],
)
def test_a_public_address_needs_tls_and_an_account(tmp_path, flags, said):
    if "nothing.key" in flags:
        shared(tmp_path / "data")
    done = pitboss(
        "serve", "--host", "0.0.0.0", "--port", free_port(), *flags, data_dir=tmp_path / "data", cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_terminal_shows_the_link_for_the_first_account_once(tmp_path):
    authority = trustme.CA()
    cert = authority.issue_cert("127.0.0.1", "0.0.0.0")
    cert.private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    port, (master, terminal) = free_port(), pty.openpty()
    command = [sys.executable, "-m", "pitboss.cli.main", "serve", "--host", "0.0.0.0", "--port", str(port), "--tls-cert",
               str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "cert.pem"), "--data-dir", str(tmp_path / "data")]  # fmt: skip
    env = os.environ | {"PITBOSS_ALLOWED_HOSTS": '["127.0.0.1"]', "TERM": "xterm", "COLUMNS": "200"}
    child = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, env=env)
    os.close(terminal)
    shown = b""
    try:
        while not (link := re.search(rb"/setup\?key=([\w-]+)", shown)):
            shown += os.read(master, 4096)
        context = ssl.create_default_context()
        authority.configure_trust(context)
        wait_for_port("127.0.0.1", port)
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context, trust_env=False) as http:
            until(lambda: http.get("/healthz").status_code == 200, 10, "it serves")
            assert http.get("/api/v1/runs").status_code == 401
            form = {"key": link[1].decode(), "name": "ann", "password": PASSWORD}
            assert http.get(f"/setup?key={form['key']}").headers["Strict-Transport-Security"]
            assert http.post("/setup", data=form).status_code == 303
            assert http.post("/setup", data=form).status_code == 404
            signed_in = http.post("/api/v1/session", json={"name": "ann", "password": PASSWORD})
            assert signed_in.status_code == 201
            assert http.get("/api/v1/session").json()["name"] == "ann"  # the cookie came along
            refused = http.post("/api/v1/strategies", json={"text": STRATEGY})
            assert refused.status_code == 403
            token = {"X-CSRF-Token": signed_in.json()["csrf_token"]}
            assert http.post("/api/v1/strategies", json={"text": STRATEGY}, headers=token).status_code == 201
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        os.close(master)


@pytest.mark.skipif(not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"), reason="nginx is not installed")
def test_the_page_leads_from_nothing_to_two_traders(tmp_path):
    """The how-to, step by step: its nginx, its commands."""
    began = time.monotonic()
    shared(tmp_path / "data", "bob")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    cert, port = authority.issue_cert(NAME, "127.0.0.1"), free_port()
    cert.private_key_pem.write_to_path(tmp_path / "pitboss.key")
    (tmp_path / "pitboss.pem").write_bytes(b"".join(blob.bytes() for blob in cert.cert_chain_pems))
    with SharedServer(tmp_path / "data", PITBOSS_ALLOWED_HOSTS=json.dumps([NAME])) as server:
        text = re.search(r"```nginx\n(.*?)```", PAGE, re.DOTALL)[1]
        text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace(
            "127.0.0.1:8000", f"127.0.0.1:{server.port}"
        )
        text = text.replace("/etc/nginx", str(tmp_path)).replace(f"server_name {NAME}", f"server_name {NAME} 127.0.0.1")
        paths = "".join(
            f"{name}_temp_path {tmp_path}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "nginx.conf").write_text(
            f"user root; daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\nevents {{}}\nhttp {{ access_log off;\n{paths}{text}\n}}\n"
        )
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        nginx = subprocess.Popen(
            [program, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)], stderr=subprocess.DEVNULL
        )
        try:
            wait_for_port("127.0.0.1", port)
            context = ssl.create_default_context()
            authority.configure_trust(context)
            with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context, trust_env=False) as http:
                assert http.get("/api/v1/runs").status_code == 401
                told = http.post("/api/v1/session", json={"name": "bob", "password": PASSWORD})
                assert told.status_code == 201, told.text
                csrf = {"X-CSRF-Token": told.json()["csrf_token"]}
                made = http.post("/api/v1/tokens", json={"name": "laptop"}, headers=csrf).json()["token"]
                assert http.get("/api/v1/session").headers["Strict-Transport-Security"]
            bob = Elsewhere(tmp_path / "bob", f"https://127.0.0.1:{port}", made, tmp_path / "ca.pem")
            done = bob.run("backtest", "ema.yaml", "-s", "OWN")
            assert done.returncode == 0, done.stderr
            assert "uploaded" in done.stderr
            assert "Sharpe" in done.stdout
            assert "on synthetic bars" in done.stdout
            own = json.loads(bob.run("runs", "list", "--json").stdout)
            assert [run["owner"] for run in own] == ["bob"]
            ann = json.loads(pitboss("runs", "list", "--json", data_dir=tmp_path / "data").stdout)
            assert ann == []
            noted = pitboss("audit", "--json", data_dir=tmp_path / "data").stdout
            assert {json.loads(line)["address"] for line in noted.splitlines() if "runs_submit" in line} == {
                "127.0.0.1"
            }
        finally:
            nginx.terminate()
            nginx.wait()
    assert time.monotonic() - began < 600


class Elsewhere:
    """A machine of its own that works at a server: its folder, bars of its own, its token."""

    def __init__(self, folder, url, token, authority, on=lambda command: command):
        folder.mkdir()
        self.folder, self.on = folder, on
        (folder / "ema.yaml").write_text(STRATEGY)
        made = pitboss("data", "synth", "-s", "OWN", "-t", "5m", "--days", 300, data_dir=folder / "pitboss-data")
        assert made.returncode == 0, made.stderr
        self.env = os.environ | {"PITBOSS_URL": url, "PITBOSS_TOKEN": token, "COLUMNS": "160", "TERM": "xterm"}
        if authority is not None:
            self.env["SSL_CERT_FILE"] = str(authority)

    def command(self, *words):
        return self.on([sys.executable, "-m", "pitboss.cli.main", *map(str, words)])

    def run(self, *words):
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, cwd=self.folder, env=self.env, timeout=120
        )

    def newest(self):
        return json.loads(self.run("runs", "list", "--json", "--limit", 1).stdout)[0]


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """A server and a client on two hosts of a small network, with TLS between."""
    if not may_make_hosts():
        pytest.skip("namespaces of the network need root on Linux, and iproute2")
    folder = tmp_path_factory.mktemp("apart")
    with Hosts("hosta", "hostb") as hosts:
        address, port = f"{hosts.NET}.2", free_port()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        authority.issue_cert(address).private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
        shared(folder / "data", "bob")
        command = [sys.executable, "-m", "pitboss.cli.main", "serve", "--host", address, "--port", str(port), "--slots", "2",
                   "--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "cert.pem"),
                   "--data-dir", str(folder / "data")]  # fmt: skip
        with (folder / "serve.log").open("wb") as log:
            serving = subprocess.Popen(hosts.command("hosta", command), stdout=log, stderr=log)
        try:
            wait_for_port(address, port, 30)
            url, token = f"https://{address}:{port}", token_of(folder / "data", "bob")
            yield (
                hosts,
                Elsewhere(folder / "client", url, token, folder / "ca.pem", lambda own: hosts.command("hostb", own)),
            )
        finally:
            serving.terminate()
            serving.wait(timeout=30)


LONGER = ("sweep", "ema.yaml", "-s", "OWN", "--grid", "fast_period=2:100:1", "--grid", "slow_period=101:400:1")
LONG = ("sweep", "ema.yaml", "-s", "OWN", "--grid", "fast_period=2:41:1", "--grid", "slow_period=50:345:5")


def test_a_backtest_a_sweep_and_an_export_from_another_host(apart):
    _, client = apart
    done = client.run("backtest", "ema.yaml", "-s", "OWN", "--set", "fast_period=9")
    assert (done.returncode, "Sharpe" in done.stdout) == (0, True), done.stderr
    done = client.run("sweep", "ema.yaml", "-s", "OWN", "--grid", "fast_period=5:8:1")
    assert (done.returncode, "4 of 4 variants" in done.stdout) == (0, True), done.stderr
    exported = client.run("runs", "export", "latest", "--what", "variants", "--to", "variants.csv")
    assert exported.returncode == 0, exported.stderr
    assert len((client.folder / "variants.csv").read_text().splitlines()) == 5
    again = client.run("backtest", "--variant", "latest:2")
    assert again.returncode == 0, again.stderr
    wrong = client.run("backtest", "ema.yaml", "-s", "NOTHING")
    assert (wrong.returncode, "unknown symbol" in wrong.stderr) == (2, True)
    assert client.run("runs", "show", "0000-nothing").returncode == 4
    made = client.run("tokens", "list")
    assert (made.returncode, "test" in made.stdout) == (0, True), made.stderr
    refused = client.run("tokens", "create", "--name", "another")
    assert "a token cannot do that" in refused.stderr
    for name in ("bob/../ann", "..", "bob?x=1"):
        assert client.run("users", "role", name, "viewer").returncode == 2
    assert "server's own machine" in client.run("runs", "prune", "--older-than", "1d").stderr


@pytest.mark.parametrize(("answer", "code"), [("k", 3), ("d", 3), ("l", 130)])
def test_control_c_keeps_discards_or_leaves_a_run_there(apart, answer, code):
    _, client = apart
    with at_the_question(client.command(*LONGER), client.folder, client.env) as (child, reply):
        said = reply(answer)
        assert child.wait(timeout=60) == code, said
    newest = client.newest()
    assert (newest["state"], newest["partial"]) == (
        ("running", False) if answer == "l" else ("cancelled", answer == "k")
    )
    client.run("runs", "cancel", newest["id"])


def test_watching_goes_on_after_the_network_was_away(apart):
    hosts, client = apart
    run = json.loads(client.run(*LONG, "--detach", "--json").stdout)["id"]
    watching = subprocess.Popen(client.command("runs", "watch", run, "--json"), cwd=client.folder, env=client.env,
                                stdout=subprocess.PIPE, text=True)  # fmt: skip
    seen = [json.loads(watching.stdout.readline()) for _ in range(5)]
    hosts.cut("hostb")
    time.sleep(2.0)
    hosts.join("hostb")
    with watching.stdout:
        seen += [json.loads(line) for line in watching.stdout]
    assert watching.wait(timeout=60) == 0
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert seen[-1]["type"] == "completed"


def test_a_wrong_token_and_a_wrong_certificate_say_so(apart, tmp_path):
    _, client = apart
    for change, said in (({"PITBOSS_TOKEN": "pb_nothing"}, "PITBOSS_TOKEN"), ({"PITBOSS_TOKEN": ""}, "PITBOSS_TOKEN"),
                         ({"SSL_CERT_FILE": ""}, "certificate"), ({"PITBOSS_TOKEN": "pb ü"}, "no token has")):  # fmt: skip
        done = subprocess.run(client.command("runs", "list"), capture_output=True, text=True, cwd=client.folder,
                              env=client.env | change, timeout=60)  # fmt: skip
        assert done.returncode != 0
        assert said in done.stderr, (change, done.stderr)
        assert "Traceback" not in done.stderr
