"""Workers on many machines: started, routed, watched and woken by Celery. They execute as anywhere else.

    pitboss worker --celery                       is `serve` here
    celery -A pitboss.launch.celery flower        finds the application under its usual name

A Celery worker keeps one pitboss worker as its child: the same supervisor as on a single machine. Its only
task is a doorbell, "there is work"; the claim decides which. Messages may be lost, late or doubled, and the
broker may be away: workers look for themselves. Settings come from PITBOSS_… variables and pitboss.toml.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import ssl
import threading
from typing import Any

from celery import Celery, bootsteps
from celery.signals import worker_shutting_down
from kombu.connection import Connection
from kombu.entity import Queue

from pitboss.core.errors import StorageUnavailable
from pitboss.core.settings import Settings, load_settings
from pitboss.launch.tries import Tries
from pitboss.launch.workerprocess import WorkerProcess
from pitboss.runs.model import DEFAULT_RESOURCE
from pitboss.runs.ports import StartRecord
from pitboss.worker.doorbell import ring

logger = logging.getLogger("pitboss.launch")

WAKE = "pitboss.wake"
LOOK_SECONDS = 0.2
LEAVE_SECONDS = 0.5
SEND_SECONDS = 0.5  # a broker that takes longer is treated as away
REACH_SECONDS = 3.0
_COMMON = {"result_backend": None, "task_ignore_result": True, "task_default_queue": DEFAULT_RESOURCE}


# what a broker's libraries say, what that means, and what to do about it
_REFUSALS = (
    ("self-signed certificate|unable to get local issuer|unable to get issuer",
     "its certificate is of an authority that is not known here", "name that authority's file with SSL_CERT_FILE"),
    ("hostname mismatch|ip address mismatch|doesn't match", "its certificate is for another name",
     "use the name that the certificate bears"),
    ("certificate has expired", "its certificate has expired", "have it renewed; is the clock of this machine right?"),
    ("certificate", "its certificate cannot be relied on", "look at it: openssl s_client -connect HOST:PORT"),
    ("wrong version number|wrong_version_number|record layer failure", "it does not speak TLS there",
     "write redis:// without TLS, or use its TLS port"),
    ("authentication required|noauth", "it asks for a password", "write rediss://:PASSWORD@HOST:PORT/0"),
    ("invalid username-password|wrongpass|access_refused|without any password configured", "name or password is wrong",
     "look them up where the broker is set up; encode @ / : in them as %40 %2F %3A"),
    ("connection reset|connection closed|server closed|unexpected eof|eof occurred", "it hangs up at once",
     "does it want TLS? write rediss:// (amqps://)"),
    ("name or service not known|nodename nor servname|temporary failure in name|no address associated",
     "there is no such host", "look at its name"),
    ("refused", "nobody listens there", "is it running? look at the port"),
    ("timeout|timed out", "it does not answer", "a firewall, the wrong port, or TLS spoken to one that speaks none?"),
)  # fmt: skip


def encryption_of(url: str) -> dict[str, Any]:
    """Answer how the broker of an address is spoken to: under TLS its certificate is checked, unless the address says
    otherwise (`?ssl_cert_reqs=none`); left to itself the library would check nothing."""
    if not url.startswith("rediss://") or "ssl_cert_reqs=" in url:
        return {}
    return {"broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}}


def reach(settings: Settings) -> None:
    """Connect to the broker. Raises StorageUnavailable that says in words what is wrong."""
    given = encryption_of(settings.broker_url).get("broker_use_ssl")
    options = {"socket_connect_timeout": 1, "socket_timeout": 2, "max_retries": 0}
    connected: Any = Connection
    connection = connected(settings.broker_url, transport_options=options, **({"ssl": given} if given else {}))
    shown = connection.as_uri()  # without its password
    try:
        connection.ensure_connection(
            max_retries=1, interval_start=0, interval_step=0, timeout=REACH_SECONDS, reraise_as_library_errors=False
        )
        connection.default_channel  # noqa: B018  (which says who we are)
    except Exception as error:  # each transport has errors of its own
        raise _told(shown, str(error) or type(error).__name__) from None
    finally:
        connection.release()


def _told(shown: str, reason: str) -> StorageUnavailable:
    for pattern, meaning, remedy in _REFUSALS:
        if re.search(pattern, reason, re.IGNORECASE):
            return StorageUnavailable(f"{shown}: {meaning} ({reason[:120]})", remedy)
    return StorageUnavailable(f"{shown}: {reason[:200]}", "look at broker_url in the settings")


def serve(settings: Settings, starts: StartRecord) -> None:
    """Be a Celery worker until told to stop. Nothing is looked for in the current folder, as `celery -A` would."""
    make_app(settings, starts).worker_main(["worker", "--loglevel", "WARNING"])


def make_app(settings: Settings, starts: StartRecord | None = None) -> Celery:
    """Answer the application of a worker: a thread for the doorbell, early acknowledgement, no prefetch."""
    app = Celery("pitboss", broker=settings.broker_url)
    app.conf.update(
        **_COMMON, **encryption_of(settings.broker_url),
        task_queues=[Queue(name, routing_key=name) for name in settings.capacity],  # type: ignore[no-untyped-call]
        worker_pool="threads", worker_concurrency=1, task_acks_late=False,
        worker_prefetch_multiplier=1, worker_disable_prefetch=True,
        worker_send_task_events=True, worker_hijack_root_logger=False, worker_redirect_stdouts=False,
        broker_connection_retry=True, broker_connection_retry_on_startup=True, broker_connection_max_retries=None,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "socket_connect_timeout": 1, "socket_timeout": 5, "socket_keepalive": True, "health_check_interval": 5,
        },
    )  # fmt: skip

    def wake() -> None:
        ring(settings.data_dir)

    app.task(name=WAKE)(wake)
    app.supervisor = Supervisor(settings.shutdown_grace_seconds + 5, starts)
    app.steps["worker"].add(SupervisorStep)
    return app


class SupervisorStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Keeps the pitboss worker while Celery's runs; it starts before the broker is reached, or without it."""

    requires = {"celery.worker.components:Pool"}

    def __init__(self, worker: Any, **options: Any) -> None:
        self.supervisor: Supervisor = worker.app.supervisor
        worker_shutting_down.connect(self._leave_in_time, weak=False)
        super().__init__(worker, **options)

    def start(self, _worker: Any) -> None:
        self.supervisor.start()

    def stop(self, _worker: Any) -> None:
        self.supervisor.stop()

    terminate = stop

    def _leave_in_time(self, **_: Any) -> None:
        """End the process though Celery waits: with a broker that hangs its shutdown would never end."""

        def leave() -> None:
            self.supervisor.stop()
            threading.Event().wait(LEAVE_SECONDS)
            os._exit(0)

        threading.Thread(target=leave, name="leaving", daemon=True).start()


class Supervisor:
    """Runs `pitboss worker`, and again when it dies; told to end, it suspends its runs and requeues them."""

    def __init__(self, grace_seconds: float, starts: StartRecord | None) -> None:
        self.grace_seconds = grace_seconds
        self._stopping = threading.Event()
        self._worker: WorkerProcess | None = None
        self._thread = threading.Thread(target=self._keep, name="supervisor")
        self.tries = Tries(starts)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the worker and wait for it; it has its own grace for what runs."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self.grace_seconds + LOOK_SECONDS)

    def _keep(self) -> None:
        # this thread is the worker's parent: should the process be killed, the worker is told
        while not self._stopping.is_set():
            if self.tries.is_due and self._supervised():
                os.kill(os.getpid(), signal.SIGTERM)  # drained: Celery's worker goes with it
                return
            self._stopping.wait(LOOK_SECONDS)

    def _supervised(self) -> bool:
        """Start a worker and look after it to its end; answer whether it ended by itself and well."""
        self.tries.begin()
        try:
            worker = WorkerProcess((), {}, None, dies_along=True)
        except OSError as error:
            self.tries.failed(f"the worker cannot be started: {error.strerror or error}")
            return False
        while worker.is_alive and not self._stopping.wait(LOOK_SECONDS):
            worker.look()
        worker.stop(self.grace_seconds)
        worker.look()
        worker.close()
        if not self._stopping.is_set():
            self.tries.ended(worker)
        return not self._stopping.is_set() and worker.wait() == 0


class CeleryLauncher:
    """Wakes workers through the broker; starting them is the operator's. See `runs.ports.Launcher`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._wanted: set[str] = set()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._send, name="doorbell", daemon=True)
        self._app = Celery("pitboss-client", broker=settings.broker_url)
        self._app.conf.update(
            **_COMMON, **encryption_of(settings.broker_url), broker_connection_retry=False,
            broker_connection_timeout=1, task_publish_retry=False,
            broker_pool_limit=0, task_create_missing_queues=True,
            broker_transport_options={
                "socket_connect_timeout": SEND_SECONDS, "socket_timeout": SEND_SECONDS, "max_retries": 0,
                "interval_start": 0, "interval_step": 0, "interval_max": 0, "connect_retries_timeout": 1,
            },
        )  # fmt: skip

    def ensure(self) -> None:
        """Workers are started with `pitboss worker --celery` wherever there are machines for them."""

    def settle(self, seconds: float) -> None:
        """Nothing was started here."""

    def ring(self, resource: str = DEFAULT_RESOURCE) -> None:
        ring(self.settings.data_dir)  # a worker on this machine need not wait for the broker
        with self._changed:
            self._wanted.add(resource)
            self._changed.notify()
            if not self._thread.is_alive():
                self._thread.start()

    def _send(self) -> None:
        """Send what was rung since the last message, one message for each resource; what fails is dropped."""
        is_away = False
        while True:
            with self._changed:
                while not self._wanted:
                    self._changed.wait()
                wanted, self._wanted = self._wanted, set()
            try:
                for resource in wanted:
                    self._app.send_task(WAKE, queue=resource, retry=False, ignore_result=True)
                is_away = False
            except Exception as error:  # each transport has errors of its own
                if not is_away:
                    logger.warning("the broker is away; workers look for themselves", extra={"error": str(error)})
                is_away = True


def __getattr__(name: str) -> Any:
    """Answer `app` when Celery asks for it: importing the launcher alone must not read settings."""
    if name == "app":
        return globals().setdefault("app", make_app(load_settings()))
    raise AttributeError(name)
