"""What it takes to ask for each operation; one that is not named here answers nobody.

docs/reference/access.md says the same for people, and what each may then see: a test holds the two against each other
and against what happens.
"""

from __future__ import annotations

from typing import Any

from pitboss.core.principal import Rights

OPEN = None  # to anybody, signed in or not
READ, RUN, ADMINISTER = Rights.READ, Rights.RUN, Rights.ADMINISTER
ROLES = {READ: "an account", RUN: "the role of a trader", ADMINISTER: "the role of an administrator"}


def operation_of(endpoint: Any) -> str:
    """Answer the name of the operation that a function answers: its module and its own name."""
    return f"{endpoint.__module__.rpartition('.')[2]}_{endpoint.__name__}"


ACCESS: dict[str, Rights | None] = {
    "accounts_add_user": ADMINISTER,
    "accounts_change_password": READ,
    "accounts_change_user": ADMINISTER,
    "accounts_create_token": READ,
    "accounts_list_tokens": READ,
    "accounts_list_users": ADMINISTER,
    "accounts_read_audit": ADMINISTER,
    "accounts_remove_user": ADMINISTER,
    "accounts_revoke_token": READ,
    "accounts_show_session": READ,
    "accounts_sign_in": OPEN,
    "accounts_sign_out": READ,
    "backtests_cancel": RUN,
    "backtests_change": RUN,
    "backtests_create": RUN,
    "backtests_delete": RUN,
    "backtests_get": READ,
    "backtests_list_backtests": READ,
    "backtests_progress": READ,
    "backtests_run": RUN,
    "backtests_runs": READ,
    "data_bars": READ,
    "data_change": RUN,
    "data_gaps": READ,
    "data_import_bars": RUN,
    "data_list_series": READ,
    "data_remove": RUN,
    "data_series": READ,
    "events_many_events": READ,
    "events_run_events": READ,
    "kinds_get": READ,
    "kinds_list_kinds": READ,
    "runs_artifact": READ,
    "runs_artifacts": READ,
    "runs_cancel": RUN,
    "runs_get_run": READ,
    "runs_list_runs": READ,
    "runs_report": READ,
    "runs_rerun": RUN,
    "runs_result": READ,
    "runs_resume": RUN,
    "runs_retry": RUN,
    "runs_statistics": READ,
    "runs_submit": RUN,
    "scripts_get": READ,
    "scripts_list_scripts": READ,
    "secrets_list_secrets": RUN,
    "secrets_put_secret": RUN,
    "secrets_remove_secret": RUN,
    "shares_list_backtest_shares": RUN,
    "shares_list_shared": READ,
    "shares_list_shares": RUN,
    "shares_open_link": OPEN,
    "shares_share": RUN,
    "shares_share_backtest": RUN,
    "shares_unshare": RUN,
    "shares_unshare_backtest": RUN,
    "strategies_add": RUN,
    "strategies_get": READ,
    "strategies_list_strategies": READ,
    "strategies_validate": READ,
    "strategies_versions": READ,
    "system_healthz": OPEN,
    "system_metrics": ADMINISTER,
    "system_queue": READ,
    "system_readyz": OPEN,
    "system_workers": READ,
}
