"""The server process: one socket, the API, and a worker kept running beside it.

python -m pitboss.serving.server HOST PORT        what `pitboss serve` becomes
"""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import sys

import uvicorn

from pitboss.bootstrap import open_platform
from pitboss.core.errors import AlreadyRunning, InvalidInput
from pitboss.core.logs import configure_logs
from pitboss.core.machine import raise_descriptor_limit
from pitboss.core.report import as_pitboss_error, exit_code, lines_of
from pitboss.core.settings import Settings, load_settings
from pitboss.serving.app import create_app
from pitboss.serving.guard import LOOPBACK

logger = logging.getLogger("pitboss.api")

DRAIN_SECONDS = 2


def run_server(settings: Settings, host: str, port: int) -> None:
    """Serve until told to stop. Raises InvalidInput for an address that needs accounts, AlreadyRunning."""
    require_loopback(host)
    raise_descriptor_limit()
    platform = open_platform(settings)
    listening = bind(host, port)
    keeper = platform.keeper
    hosts = LOOPBACK.union({host}, settings.allowed_hosts)
    config = uvicorn.Config(
        create_app(platform, hosts, settings.root_path), log_config=None, access_log=False,
        forwarded_allow_ips=settings.trusted_proxies, timeout_graceful_shutdown=DRAIN_SECONDS,
    )  # fmt: skip
    server = uvicorn.Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):  # also before uvicorn listens to them, and when it raises them again
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    keeper.start()
    address = listening.getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{shown}:{address[1]}"
    if sys.stderr.isatty():
        print(f"pitboss serves {url}/api/v1, documented at {url}/docs", file=sys.stderr, flush=True)
    else:
        logger.info("pitboss serves", extra={"api": f"{url}/api/v1", "docs": f"{url}/docs"})
    try:
        server.run(sockets=[listening])
    finally:
        keeper.stop()
        platform.close()


def require_loopback(host: str) -> None:
    """Raise InvalidInput unless `host` can be reached from this machine alone."""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise InvalidInput(
            f"{host} can be reached from elsewhere, and there are no accounts yet",
            "serve on 127.0.0.1; use an SSH tunnel to reach it", "--host",
        )  # fmt: skip


def bind(host: str, port: int) -> socket.socket:
    """Answer a listening socket. Raises AlreadyRunning when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise AlreadyRunning(
            f"cannot listen on {host}:{port}: {error.strerror}",
            "is pitboss running there already? choose another --port",
        ) from None
    return listening


def main() -> None:
    try:
        settings = load_settings()
        configure_logs(settings.log_level)
        run_server(settings, sys.argv[1], int(sys.argv[2]))
    except Exception as error:
        told = as_pitboss_error(error)
        print("\n".join(lines_of(told)), file=sys.stderr)
        sys.exit(exit_code(told))


if __name__ == "__main__":
    main()
