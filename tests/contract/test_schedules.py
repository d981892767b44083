"""One run for each time, over every adapter: several servers with clocks of their own, that die and come back."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from pitboss.core.errors import Conflict, InvalidInput, NotFound
from pitboss.core.principal import LOCAL, Principal
from pitboss.routine.scheduler import Scheduler
from pitboss.routine.schedules import Asked, Schedules
from pitboss.routine.when import read_when
from pitboss.runs.model import RunQuery
from pitboss.runs.submission import Submission
from pitboss.storage.schedules import SqlSchedules
from pitboss.storage.tables import runs

HOUR, DAY = 3600.0, 86_400.0
# each is due in an hour that its zone's clocks leave out or repeat
TIMES = {
    "America/New_York": "30 2 * * *", "Europe/London": "30 1 * * *", "Australia/Sydney": "30 2 * * *",
    "America/Santiago": "30 23 * * *",
}  # fmt: skip
NOTHING = {"kind": "nothing", "params": {}}
START = 1_740_787_200.0  # 2025-03-01: the clocks of all four change twice in the nine months that follow
END = START + 260 * DAY


class Died(Exception):
    """The server was killed."""


class Clock:
    """A server's clock, wrong by up to an hour now and then."""

    def __init__(self):
        self.true, self.off = START, 0.0

    def __call__(self):
        return self.true + self.off


class Mortal:
    """Dies before or after one of its calls."""

    def __init__(self, inner, dice):
        self.inner, self.dice = inner, dice

    def __getattr__(self, name):
        found = getattr(self.inner, name)
        if not callable(found) or name in ("kinds", "sources"):
            return found

        def called(*arguments):
            if self.dice.random() < 0.02:
                raise Died
            answer = found(*arguments)
            if self.dice.random() < 0.02:
                raise Died
            return answer

        return called


def since(store, schedule, moment=START):
    return store.change(schedule.id, {"seen_until": moment})


def test_one_run_for_each_of_a_thousand_times_however_servers_die_and_clocks_jump(database, service):
    store, dice = SqlSchedules(database), random.Random(7)
    schedules = Schedules(store, service)
    made = []
    for number, (zone, when) in enumerate(TIMES.items()):
        hours = [
            datetime.fromtimestamp(at, ZoneInfo(zone)).utcoffset() for at in range(int(START), int(END), int(HOUR))
        ]
        assert sum(one != other for one, other in itertools.pairwise(hours)) == 2, "its clocks change twice"
        asked = Asked(name=f"s{number}", when=when, zone=zone, catch_up="all", overlap="allow", **NOTHING)
        made.append(since(store, schedules.add(LOCAL, asked)))
    clocks = [Clock() for _ in range(3)]

    def server(clock):
        return Scheduler(Mortal(store, dice), Mortal(service, dice), lambda _: LOCAL, clock)

    servers = [server(clock) for clock in clocks]
    while clocks[0].true < END:
        for clock in clocks:
            clock.true += 8 * HOUR
        at = dice.randrange(3)
        clocks[at].off = dice.choice((0.0, 0.0, HOUR, -HOUR))
        for number in dice.sample(range(3), dice.choice((1, 2, 3))):
            try:
                servers[number].turn()
            except Died:
                servers[number] = server(clocks[number])
    for clock in clocks:
        clock.true, clock.off = END, 0.0
    Scheduler(store, service, lambda _: LOCAL, clocks[0]).turn()
    runs = []
    query = RunQuery(limit=500)
    while found := service.find(LOCAL, query):
        runs += found
        query = RunQuery(limit=500, cursor=found[-1].id)
    expected = {
        (schedule.id, tick) for schedule in made for tick in read_when(schedule.when, schedule.zone).between(START, END)
    }
    assert len(expected) > 1000
    ticks = {(tick.schedule_id, tick.at): tick for each in made for tick in store.ticks(each.id, 10_000)}
    early = {key for key in ticks if key[1] > END}  # found by a clock that was ahead
    assert ticks.keys() - early == expected, "none is missed"
    assert all(tick.state == "queued" for key, tick in ticks.items() if key not in early)
    queued = Counter(tick.run_id for tick in ticks.values() if tick.run_id)
    assert Counter(run.id for run in runs) == queued, "none is doubled"


@pytest.mark.parametrize(("catch_up", "states"), [
    ("all", ["queued"] * 5), ("last", ["missed"] * 4 + ["queued"]), ("skip", ["missed"] * 5),
])  # fmt: skip
def test_what_passed_while_nobody_looked(database, service, catch_up, states):
    store = SqlSchedules(database)
    asked = Asked(name="s", when="0 * * * *", catch_up=catch_up, overlap="allow", **NOTHING)
    schedule = since(store, Schedules(store, service).add(LOCAL, asked))
    scheduler = Scheduler(store, service, lambda _: LOCAL, lambda: START + 5 * HOUR + 600)
    scheduler.turn()
    assert [tick.state.value for tick in reversed(store.ticks(schedule.id, 10))] == states
    scheduler.turn()
    assert len(store.ticks(schedule.id, 10)) == 5


def test_the_run_before_holds_the_next_one_up_where_that_is_asked_for(database, service):
    store, now = SqlSchedules(database), [START]
    schedule = since(store, Schedules(store, service).add(LOCAL, Asked(name="s", when="* * * * *", **NOTHING)))
    scheduler = Scheduler(store, service, lambda _: LOCAL, lambda: now[0])
    (first,) = (now.__setitem__(0, START + 61), scheduler.turn())[1]
    now[0] += 60
    assert scheduler.turn() == []
    service.cancel(LOCAL, first.id, False)
    now[0] += 60
    assert len(scheduler.turn()) == 1
    assert [tick.state.value for tick in reversed(store.ticks(schedule.id, 9))] == ["queued", "skipped", "queued"]
    assert first.tags == ("schedule:s",)


def test_a_jitter_is_the_same_wherever_it_is_asked_and_a_run_waits_for_it(database, service):
    store, now = SqlSchedules(database), [START + 61]
    asked = Asked(name="s", when="0 * * * *", jitter_seconds=1000, **NOTHING)  # no other time is due before
    schedule = since(store, Schedules(store, service).add(LOCAL, asked))
    scheduler = Scheduler(store, service, lambda _: LOCAL, lambda: now[0])
    tick = next(iter(read_when("0 * * * *").ticks(START)))
    delay = schedule.delay(tick)
    assert 0 < delay < 1000
    assert scheduler.turn() == []
    now[0] = tick + delay - 1
    assert [run for run in scheduler.turn() if run.tags == ("schedule:s",)] == []
    now[0] = tick + delay + 1
    assert len(scheduler.turn()) >= 1


def test_a_paused_schedule_is_not_due_and_makes_nothing_up(database, service):
    store = SqlSchedules(database)
    schedules = Schedules(store, service)
    schedule = since(store, schedules.add(LOCAL, Asked(name="s", when="* * * * *", catch_up="all", **NOTHING)))
    assert schedules.change(LOCAL, "s", {"is_paused": True}).is_paused
    scheduler = Scheduler(store, service, lambda _: LOCAL, lambda: START + 3600)
    assert scheduler.turn() == []
    assert schedules.change(LOCAL, "s", {"is_paused": False}).seen_until > START + 3600
    assert scheduler.turn() == []
    assert store.ticks(schedule.id, 9) == []


def test_what_cannot_be_queued_is_told(database, service):
    store = SqlSchedules(database)
    schedule = since(store, Schedules(store, service).add(LOCAL, Asked(name="s", when="* * * * *", **NOTHING)))
    store.change(schedule.id, {"kind": "gone"})
    Scheduler(store, service, lambda _: LOCAL, lambda: START + 61).turn()
    (tick,) = store.ticks(schedule.id, 9)
    assert (tick.state.value, "unknown kind 'gone'" in tick.note) == ("refused", True)


def test_schedules_belong_to_their_owners_and_every_mistake_is_told(database, service):
    schedules, other = Schedules(SqlSchedules(database), service), Principal("eve")
    schedules.add(LOCAL, Asked(name="s", when="* * * * *", **NOTHING))
    with pytest.raises(Conflict):
        schedules.add(LOCAL, Asked(name="s", when="* * * * *", **NOTHING))
    for ask in (lambda: schedules.get(other, "s"), lambda: schedules.remove(other, "s")):
        with pytest.raises(NotFound):
            ask()
    assert schedules.all(other) == []
    wrong = Asked(
        name="a b", when="0 0 31 2 *", zone="UTC", kind="nothin", params={}, catch_up="never", priority="urgent"
    )
    with pytest.raises(InvalidInput) as told:
        schedules.add(LOCAL, wrong)
    assert [problem.where for problem in told.value.problems] == ["name", "when", "kind", "priority", "catch_up"]
    schedules.remove(LOCAL, "s")
    assert schedules.all(LOCAL) == []


def test_what_follows_data_is_due_once_for_each_update(database, service):
    store = SqlSchedules(database)
    schedule = Schedules(store, service).add(
        LOCAL, Asked(name="s", when="after each data update", overlap="allow", **NOTHING)
    )
    scheduler = Scheduler(store, service, lambda _: LOCAL)
    assert scheduler.turn() == []
    ended = [schedule.seen_until + 0.001, schedule.seen_until + 0.002]
    made = [service.submit(LOCAL, Submission(kind="nothing", params={})) for _ in ended]
    with database.writing() as connection:
        for at, run in zip(ended, made, strict=True):
            values = {"kind": "fetch", "state": "completed", "ended_at": at}
            connection.execute(sa.update(runs).where(runs.c.id == run.id).values(**values))
    assert len(scheduler.turn()) == 2
    assert scheduler.turn() == []
    assert [tick.at for tick in reversed(store.ticks(schedule.id, 9))] == ended
