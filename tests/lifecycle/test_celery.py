"""Workers under a real Celery with a real Redis, which may die, forget, hang and repeat itself."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time

import psutil
import pytest
import trustme

from pitboss.core.principal import LOCAL
from pitboss.launch.celery import WAKE, make_app
from pitboss.runs.submission import Submission
from support import faults
from support.cluster import Cluster
from support.engine import is_gone, until
from support.server import free_port, pitboss
from support.servers import TlsRedisServer

SOON = 5.0  # seconds; `script/faults broker` holds the second that is promised on an idle machine


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    cluster.redis.start()
    faults.make_bars(cluster)
    yield cluster
    cluster.close()


def test_a_broker_that_dies_forgets_or_hangs_delays_nothing(cluster):
    cluster.start_worker()
    assert cluster.started_after(cluster.submit()) < SOON
    cluster.redis.kill()
    assert cluster.started_after(cluster.submit()) < SOON
    cluster.redis.start()
    cluster.redis.flush()
    assert cluster.started_after(cluster.submit()) < SOON
    cluster.redis.pause()
    before = time.monotonic()
    run = cluster.submit()
    assert time.monotonic() - before < 1.0, "a submit does not wait for the broker"
    assert cluster.started_after(run) < SOON
    cluster.redis.resume()
    assert cluster.started_after(cluster.submit()) < SOON


def test_a_hundred_doorbells_for_each_run_start_it_once(cluster):
    cluster.start_worker()
    cluster.start_worker()
    app = make_app(cluster.settings)
    runs = [cluster.submit() for _ in range(5)]
    for _ in range(100 * len(runs)):
        app.send_task(WAKE, queue="default")
    for run in runs:
        assert cluster.wait(run).state == "completed"
        events = [event.type for event in cluster.service.events(LOCAL, run.id)]
        assert events.count("claimed") == events.count("started") == events.count("completed") == 1
    app.close()


def test_messages_reach_the_worker_that_serves_the_resource(cluster):
    cluster.start_worker("--resource", "gpu")
    plain = cluster.submit()
    assert cluster.wait(cluster.submit(options={"resource": "gpu"})).state == "completed"
    assert cluster.service.place(cluster.service.get(LOCAL, plain.id)).waiting_reason == "needs a default worker"
    cluster.start_worker()
    assert cluster.wait(plain).state == "completed"


@pytest.mark.parametrize("is_hung", [False, True], ids=["broker up", "broker hung"])
def test_sigterm_suspends_what_runs_though_the_broker_hangs(cluster, is_hung):
    worker = cluster.start_worker()
    run = cluster.service.submit(LOCAL, Submission(kind="sweep", params=faults.sweep_params()))
    until(lambda: (cluster.service.get(LOCAL, run.id).progress or {}).get("done", 0) > 20, 20, "the sweep gets on")
    if is_hung:
        cluster.redis.pause()
    worker.terminate()
    worker.wait(timeout=20)
    waiting = cluster.service.get(LOCAL, run.id)
    assert (waiting.state, waiting.checkpointed_attempt) == ("queued", 1)
    assert cluster.service.workers() == []


def test_a_killed_celery_process_leaves_nothing_running(cluster):
    worker = cluster.start_worker()
    run = cluster.service.submit(LOCAL, Submission(kind="sweep", params=faults.sweep_params()))
    until(lambda: (cluster.service.get(LOCAL, run.id).progress or {}).get("done", 0) > 20, 20, "the sweep gets on")
    family = psutil.Process(worker.pid).children(recursive=True)
    worker.kill()
    worker.wait()
    until(lambda: all(is_gone(p.pid) for p in family), 12, "its worker and that one's runs are gone")
    assert cluster.service.get(LOCAL, run.id).state == "queued"


def test_a_killed_supervisor_is_started_again(cluster):
    cluster.start_worker()
    (before,) = cluster.service.workers()
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: [w.id for w in cluster.service.workers()] not in ([], [before.id]), 10, "a new one signs on")
    assert cluster.wait(cluster.submit()).state == "completed"


@pytest.fixture
def over_tls(tmp_path, monkeypatch):
    """A cluster whose broker speaks TLS alone, by a certificate of an authority of its own."""
    if not shutil.which("redis-server", path=f"{os.environ['PATH']}:/usr/bin"):
        assert not os.environ.get("CI"), "redis-server is not installed"
        pytest.skip("redis-server is not installed")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    redis = TlsRedisServer(tmp_path / "redis", free_port(), tmp_path / "cert.pem", tmp_path / "ca.pem")
    redis.start()
    cluster = Cluster(tmp_path, redis)
    faults.make_bars(cluster)
    yield cluster
    cluster.close()


def test_a_broker_over_tls_carries_the_doorbell(over_tls):
    with over_tls.redis.client() as client:
        run = over_tls.submit()
        until(lambda: client.llen("default") >= 1, 10, "the bell is in the queue")
        over_tls.start_worker()
        assert over_tls.wait(run).state == "completed"
        until(lambda: client.llen("default") == 0, 20, "a worker has heard it")


@pytest.mark.parametrize(
    ("change", "said", "remedy"),
    [
        (lambda url: url, "it answers", ""),
        (lambda url: url.replace("hunter", "guess"), "name or password is wrong", "look them up"),
        (lambda url: re.sub(r"//.*@", "//", url), "it asks for a password", "PASSWORD@HOST"),
        (lambda url: url.replace("rediss", "redis"), "it hangs up at once", "write rediss://"),
        (lambda url: url.replace("127.0.0.1", "127.0.0.2"), "nobody listens there", "is it running?"),
        (lambda url: url.replace("127.0.0.1", "no.such.host.invalid"), "there is no such host", "look at its name"),
    ],
)
def test_the_doctor_says_in_words_what_is_wrong_with_a_broker(over_tls, change, said, remedy):
    url = change(over_tls.redis.url)
    done = pitboss("doctor", data_dir=over_tls.settings.data_dir, env=os.environ | {"PITBOSS_BROKER_URL": url})
    line, after = re.search(r"broker +(.*)\n(.*)", done.stdout).groups()
    assert said in line, done.stdout
    assert remedy in after
    assert "hunter" not in done.stdout


def test_a_certificate_of_an_unknown_authority_is_not_believed(over_tls, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    done = pitboss(
        "doctor", data_dir=over_tls.settings.data_dir, env=os.environ | {"PITBOSS_BROKER_URL": over_tls.redis.url}
    )
    assert "an authority that is not known here" in done.stdout
    assert "SSL_CERT_FILE" in done.stdout
    with over_tls.redis.client() as client:
        over_tls.submit()
        time.sleep(1.0)
        assert client.llen("default") == 0, "the bell was not carried to a stranger"
