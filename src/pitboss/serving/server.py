"""The server process: one socket, the API, and a worker kept running beside it.

python -m pitboss.serving.server HOST PORT        what `pitboss serve` becomes
"""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import ssl
import sys
from typing import Any, cast

import psutil
import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from pitboss.bootstrap import Platform, open_platform
from pitboss.core.errors import AlreadyRunning, InvalidInput
from pitboss.core.logs import configure_logs
from pitboss.core.machine import raise_descriptor_limit
from pitboss.core.report import as_pitboss_error, exit_code, lines_of
from pitboss.core.settings import Settings, load_settings
from pitboss.serving.app import create_app
from pitboss.serving.guard import LOOPBACK
from pitboss.serving.peers import Peers

logger = logging.getLogger("pitboss.api")

DRAIN_SECONDS = 2


def run_server(settings: Settings, host: str, port: int) -> None:
    """Serve until told to stop. Raises InvalidInput for an address that needs what is not there, AlreadyRunning."""
    is_private = is_loopback(host)
    if not is_private:
        require_tls(settings, host)
    raise_descriptor_limit()
    platform = open_platform(settings)
    if not is_private:
        require_accounts(platform, host)
    listening = bind(host, port)
    beside = (platform.keeper, *platform.routine)
    hosts = LOOPBACK.union(names_of(host), settings.allowed_hosts)
    app = create_app(platform, hosts, settings.root_path, is_private)
    trusted = settings.behind_proxy or settings.trusted_proxies
    believing: Any = ProxyHeadersMiddleware(cast(Any, app), trusted)
    config = uvicorn.Config(
        Peers(believing, trusted, is_open=is_private or not settings.behind_proxy),
        log_config=None, access_log=False, proxy_headers=False, timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_certfile=settings.tls_cert, ssl_keyfile=settings.tls_key,
    )  # fmt: skip
    load_tls(config)
    server = uvicorn.Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):  # also before uvicorn listens to them, and when it raises them again
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    for each in beside:
        each.start()
    address = listening.getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"{'https' if settings.tls_cert else 'http'}://{shown}:{address[1]}"
    if sys.stderr.isatty():
        print(f"pitboss serves {url}/api/v1, documented at {url}/docs", file=sys.stderr, flush=True)
        if app.state.setup.key:
            name = next(iter(settings.allowed_hosts), socket.gethostname() if host in ("0.0.0.0", "::") else host)
            link = f"https://{name}:{address[1]}/setup?key={app.state.setup.key}"
            print(f"Make the first account here, once: {link}", file=sys.stderr, flush=True)
    else:
        logger.info("pitboss serves", extra={"api": f"{url}/api/v1", "docs": f"{url}/docs"})
    try:
        server.run(sockets=[listening])
    finally:
        for each in beside:
            each.stop()
        platform.close()


def is_loopback(host: str) -> bool:
    """Answer whether an address can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_of(host: str) -> set[str]:
    """Answer what a server on an address may be called: where it listens on all of them, each of this machine's."""
    if host not in ("0.0.0.0", "::"):
        return {host}
    own = {each.address.partition("%")[0] for found in psutil.net_if_addrs().values() for each in found}
    return {host, socket.gethostname().lower(), socket.getfqdn().lower(), *own}


def require_tls(settings: Settings, host: str) -> None:
    """Raise InvalidInput where passwords and tokens would cross a network that anybody can read."""
    if settings.tls_cert is None and not settings.behind_proxy:
        raise InvalidInput(
            f"{host} can be reached from elsewhere, and nothing is encrypted",
            "give --tls-cert and --tls-key, or name the proxy that does the TLS with --behind-proxy; "
            "or serve on 127.0.0.1 and use an SSH tunnel", "--host",
        )  # fmt: skip


def require_accounts(platform: Platform, host: str) -> None:
    """Raise InvalidInput where whoever comes would be let in: with a terminal, a link there makes the first account."""
    if not platform.accounts.has_accounts() and not sys.stderr.isatty():
        what = f"{host} can be reached from elsewhere, and there are no accounts"
        raise InvalidInput(what, "make the first: pitboss users init", "--host")


def load_tls(config: uvicorn.Config) -> None:
    """Load certificate and key. Raises InvalidInput that says which does not fit."""
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        what = f"certificate and key cannot be used: {reason}"
        raise InvalidInput(
            what, "name a PEM certificate and its own key, readable by this user", "--tls-cert"
        ) from None


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
