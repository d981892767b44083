"""Errors, timeframes, time and settings."""

from __future__ import annotations

import pytest

from pitboss.core.clock import micros_to_iso, parse_date, to_iso
from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.core.ids import new_id
from pitboss.core.report import as_pitboss_error, describe, exit_code, lines_of
from pitboss.core.settings import describe_settings, load_settings
from pitboss.core.timeframe import parse_timeframe


@pytest.mark.parametrize(("text", "seconds"), [("1m", 60), ("5m", 300), ("1h", 3600), ("1d", 86400), ("1w", 604800)])
def test_timeframes_are_read(text, seconds):
    assert parse_timeframe(text).seconds == seconds
    assert str(parse_timeframe(text)) == text


@pytest.mark.parametrize("text", ["", "0m", "60m", "5", "m5", "5 m", "-5m", "24h", "1y", "99999999m", None, 5])
def test_what_is_no_timeframe_is_refused_with_a_remedy(text):
    with pytest.raises(InvalidInput) as refused:
        parse_timeframe(text)
    assert "5m" in refused.value.problems[0].remedy or "1m" in refused.value.problems[0].remedy


def test_moments_are_utc_unless_they_say_otherwise():
    assert parse_date("2018-01-01") == parse_date("2018-01-01T00:00:00Z") == parse_date("2018-01-01T02:00+02:00")
    assert micros_to_iso(parse_date("2018-01-01T22:05")) == "2018-01-01T22:05:00Z"
    assert to_iso(None) is None


def test_ids_sort_by_time():
    made = [new_id() for _ in range(100)]
    assert made == sorted(made)


def test_suggestions_name_what_is_near_else_what_there_is():
    assert "'ema'" in suggest("emma", ["ema", "sma"])
    assert suggest("zzz", ["ema", "sma"]) == "known: ema, sma"


def test_errors_are_told_with_place_text_and_remedy():
    error = InvalidInput([Problem("unknown indicator 'emma'", "did you mean 'ema'?", 4, 9, "fast: emma(close, 9)")])
    assert lines_of(error) == [
        "error: line 4, column 9: unknown indicator 'emma'", "    fast: emma(close, 9)", "  → did you mean 'ema'?",
    ]  # fmt: skip
    assert exit_code(error) == 2
    assert describe(error)["problems"][0]["line"] == 4
    assert exit_code(as_pitboss_error(ValueError("x"))) == 1


def test_flags_beat_variables_beat_the_file_beat_defaults(tmp_path, monkeypatch):
    (tmp_path / "pitboss.toml").write_text("slots = 3\nlease_seconds = 20\nmax_queue_size = 7\n")
    monkeypatch.setenv("PITBOSS_LEASE_SECONDS", "30")
    monkeypatch.setenv("PITBOSS_SLOTS", "4")
    settings = load_settings(data_dir=tmp_path, slots=5)
    assert (settings.slots, settings.lease_seconds, settings.max_queue_size) == ({"default": 5, "session": 50}, 30, 7)
    assert settings.url.endswith("pitboss.db")


@pytest.mark.parametrize("text", ["slots = 0", "sluts = 3", "slots = 'x'", "slots = "])
def test_wrong_settings_are_named(tmp_path, text):
    (tmp_path / "pitboss.toml").write_text(text)
    with pytest.raises(InvalidInput) as refused:
        load_settings(data_dir=tmp_path)
    assert "slots" in str(refused.value) or "sluts" in str(refused.value) or "pitboss.toml" in str(refused.value)


def test_every_setting_is_described(tmp_path):
    assert all(described["meaning"] for described in describe_settings(load_settings(data_dir=tmp_path)))


def test_a_lease_must_outlast_its_renewal(tmp_path):
    with pytest.raises(InvalidInput, match="lease_seconds is 2"):
        load_settings(data_dir=tmp_path, lease_seconds=2, renew_seconds=3)


def test_passwords_are_not_shown(tmp_path):
    described = describe_settings(load_settings(data_dir=tmp_path, database_url="postgresql://me:hunter2@host/db"))
    assert "hunter2" not in str(described)
