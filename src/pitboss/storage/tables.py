"""The schema: one for SQLite and PostgreSQL. Times are seconds since 1970 by the database's clock."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    true,
)

from pitboss.runs.model import PARQUET

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("serial", BigInteger, nullable=False, server_default="0"),  # order of submission over all runs, from 1
    Column("number", Integer, nullable=False),  # within its owner's runs of the subject, from 1, never reused
    Column("kind", String(32), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("params", JSON, nullable=False),
    Column("snapshot", JSON, nullable=False),  # what the result comes from: strategy text, data, versions, seed
    Column("options", JSON, nullable=False),
    Column("resource", String(32), nullable=False, server_default="default"),  # what its worker must serve: gpu, …
    Column("attempt", Integer, nullable=False),
    Column("checkpointed_attempt", Integer, nullable=False, server_default="0"),  # the last one that saved its state
    Column("failed_starts", Integer, nullable=False, server_default="0"),  # in a row: its process never came about
    Column("memory_kills", Integer, nullable=False, server_default="0"),  # attempts that the kernel ended for memory
    Column("progress", JSON),
    Column("result", JSON),
    Column("partial", Boolean, nullable=False),
    Column("error", JSON),
    Column("parent", String(36)),
    Column("is_resumed", Boolean, nullable=False, server_default=false()),  # goes on from its parent's checkpoint
    Column("idempotency_key", String(200)),
    Column("worker_id", String(36)),
    Column("pid", Integer),
    Column("lease_token", String(32)),  # fresh at each claim; every write of the holder carries it
    Column("lease_until", Float),
    Column("last_write", Integer, nullable=False, server_default="0"),  # number of the holder's last write
    Column("last_seq", Integer, nullable=False),  # seq of the last event; allotted under this row
    Column("cancel_requested_at", Float),
    Column("cancel_keep_partial", Boolean),
    Column("cancel_reason", String(500)),
    Column("created_at", Float, nullable=False),
    Column("queued_at", Float, nullable=False),
    Column("claimed_at", Float),
    Column("started_at", Float),
    Column("completing_at", Float),
    Column("ended_at", Float),
    Column("thinned_at", Float),  # when its progress events were removed; its log has holes since
    UniqueConstraint("owner", "subject", "number", name="uq_runs_owner_subject_number"),
    UniqueConstraint("owner", "idempotency_key", name="uq_runs_idempotency"),
)
# which runs bear a tag, newest first, without a walk through all of them
run_tags = Table(
    "run_tags",
    metadata,
    Column("owner", String(64), nullable=False),
    Column("tag", String(200), nullable=False),
    Column("serial", BigInteger, nullable=False),  # of a run
    PrimaryKeyConstraint("owner", "tag", "serial", name="pk_run_tags"),
)

Index("ux_runs_serial", runs.c.serial, unique=True)
Index("ix_runs_owner_serial", runs.c.owner, runs.c.serial)
Index("ix_runs_state_serial", runs.c.state, runs.c.serial)
Index("ix_runs_state", runs.c.state, runs.c.priority, runs.c.queued_at)
Index("ix_runs_worker", runs.c.worker_id, runs.c.state)
Index("ix_runs_subject_state", runs.c.subject, runs.c.state)
Index("ix_runs_owner_ended", runs.c.owner, runs.c.ended_at)
Index("ix_runs_unthinned", runs.c.ended_at)  # where thinned_at is null, says the migration that makes it

subjects = Table(
    "subjects",
    metadata,
    Column("owner", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("last_number", Integer, nullable=False),
    PrimaryKeyConstraint("owner", "name", name="pk_subjects"),
)

run_events = Table(
    "run_events",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("ts", Float, nullable=False),
    Column("type", String(32), nullable=False),
    Column("item_key", String(200)),  # an item stands once in a run, however often it is reported
    Column("payload", JSON, nullable=False),
    PrimaryKeyConstraint("run_id", "seq", name="pk_run_events"),
    UniqueConstraint("run_id", "item_key", name="uq_run_events_item"),
    Index("ix_run_events_type", "run_id", "type", "seq"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("path", String(500), nullable=False),  # relative to the data folder
    Column("size", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("media_type", String(100), nullable=False, server_default=PARQUET),
    PrimaryKeyConstraint("run_id", "name", name="pk_artifacts"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id"), nullable=False),
    Column("number", Integer, nullable=False),  # within the run, from 1
    Column("attempt", Integer, nullable=False),
    Column("path", String(500), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("identity", JSON, nullable=False),  # what the state was made from: a resume compares it
    PrimaryKeyConstraint("run_id", "number", name="pk_checkpoints"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("machine", String(100), nullable=False, server_default=""),  # whose process ids the pid is one of
    Column("pid", Integer, nullable=False),
    Column("process_started_at", Float, nullable=False),
    Column("slots", Integer, nullable=False),  # in all
    Column("capacity", JSON, nullable=False, server_default="{}"),  # slots of each resource; empty before 0005
    Column("version", String(32), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("renewed_at", Float, nullable=False),
    Column("resources", String(200), nullable=False, server_default="default"),  # with commas between
    Column("is_draining", Boolean, nullable=False, server_default=false()),  # finishes what runs, then ends
    Column("kernel_kills", BigInteger, nullable=False, server_default="0"),  # of its machine, when it last looked
    Column("note", String(200), nullable=False),  # why it claims nothing, else empty
)

# hosts on which the last start of a worker failed; the row goes when one signs on
failed_starts = Table(
    "failed_starts",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("reason", String(500), nullable=False),
    Column("count", Integer, nullable=False),  # in a row
    Column("failed_at", Float, nullable=False),
    Column("retry_at", Float, nullable=False),  # not before then does a launcher try again
)


def _documents(name: str) -> Table:
    """Answer a table of documents with every version of each."""
    return Table(
        name,
        metadata,
        Column("name", String(64), nullable=False),
        Column("version", Integer, nullable=False),
        Column("text", Text, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("owner", String(64), nullable=False),
        Column("created_at", Float, nullable=False),
        PrimaryKeyConstraint("owner", "name", "version", name=f"pk_{name}"),
    )


strategies = _documents("strategies")
screens = _documents("screens")

presets = Table(
    "presets",
    metadata,
    Column("owner", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("name", String(64), nullable=False),
    Column("params", JSON, nullable=False),
    Column("changed_at", Float, nullable=False),
    PrimaryKeyConstraint("owner", "kind", "name", name="pk_presets"),
)

saved_backtests = Table(
    "saved_backtests",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("params", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("owner", "name", name="uq_saved_backtests_owner_name"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password", String(200), nullable=False),  # Argon2id's hash with its parameters; empty before it was chosen
    Column("is_enabled", Boolean, nullable=False, server_default=true()),
    Column("is_local", Boolean, nullable=False, server_default=false()),  # works on the server's own machine
    Column("created_at", Float, nullable=False),
    Column("removed_at", Float),  # the row stays: what bears its name is nobody else's
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("scope", String(8), nullable=False),
    Column("prefix", String(16), nullable=False),  # its first characters, to recognise it by
    Column("digest", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("used_at", Float),
    Column("used_from", String(64), nullable=False, server_default=""),
    Column("revoked_at", Float),
    UniqueConstraint("digest", name="uq_tokens_digest"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("id", String(36), nullable=False),  # names it in the audit and in lists
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("used_at", Float, nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(200), nullable=False),
)

# browsers that have signed in to an account before; see accounts.guessing
devices = Table(
    "devices",
    metadata,
    Column("digest", String(64), nullable=False),
    Column("account", String(64), ForeignKey("accounts.name"), nullable=False),
    Column("created_at", Float, nullable=False),
    PrimaryKeyConstraint("digest", "account", name="pk_devices"),
)

guesses = Table(
    "guesses",
    metadata,
    Column("key", String(300), primary_key=True),  # what is counted together
    Column("count", Integer, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("until", Float, nullable=False),  # nothing is tried before
)

# rows are only ever added: triggers refuse anything else
audit = Table(
    "audit",
    metadata,
    Column("id", String(36), primary_key=True),  # sorts by time
    Column("at", Float, nullable=False),
    Column("who", String(64), nullable=False),
    Column("via", String(64), nullable=False),  # the token or session
    Column("address", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(300), nullable=False),
    Column("detail", JSON, nullable=False),
)
Index("ix_audit_who", audit.c.who, audit.c.id)

# what its owner lets others read
shares = Table(
    "shares",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("thing", String(16), nullable=False),  # run or backtest
    Column("thing_id", String(36), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("account", String(64)),  # with whom, or
    Column("digest", String(64)),  # the digest of a link's key
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    UniqueConstraint("digest", name="uq_shares_digest"),
)
Index("ix_shares_thing", shares.c.thing, shares.c.thing_id)
Index("ix_shares_account", shares.c.account)

secrets = Table(
    "secrets",
    metadata,
    Column("owner", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # encrypted by the key beside the database
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    PrimaryKeyConstraint("owner", "name", name="pk_secrets"),
)

# what people write beside runs and saved backtests
remarks = Table(
    "remarks",
    metadata,
    Column("thing", String(16), nullable=False),  # run or backtest
    Column("thing_id", String(36), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("notes", Text, nullable=False),
    Column("updated_at", Float, nullable=False),
    PrimaryKeyConstraint("thing", "thing_id", name="pk_remarks"),
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("when", String(200), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("params", JSON, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("options", JSON, nullable=False),
    Column("catch_up", String(8), nullable=False),
    Column("overlap", String(8), nullable=False),
    Column("jitter_seconds", Float, nullable=False),
    Column("is_paused", Boolean, nullable=False, server_default=false()),
    Column("seen_until", Float, nullable=False),  # up to when its times have become ticks
    Column("created_at", Float, nullable=False),
    UniqueConstraint("owner", "name", name="uq_schedules_owner_name"),
)

# one row for each time of a schedule, whoever found it due
ticks = Table(
    "ticks",
    metadata,
    Column("schedule_id", String(36), ForeignKey("schedules.id"), nullable=False),
    Column("at", Float, nullable=False),
    Column("state", String(8), nullable=False),
    Column("run_id", String(36)),
    Column("note", String(500), nullable=False),
    Column("changed_at", Float, nullable=False),
    PrimaryKeyConstraint("schedule_id", "at", name="pk_ticks"),
)
Index("ix_ticks_state", ticks.c.state, ticks.c.at)

# where somebody is told of what has happened; the address is a secret
channels = Table(
    "channels",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", String(32), nullable=False),
    Column("news", JSON, nullable=False),  # of what
    Column("seen_until", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("owner", "name", name="uq_channels_owner_name"),
)

notices = Table(
    "notices",
    metadata,
    Column("channel_id", String(36), ForeignKey("channels.id"), nullable=False),
    Column("key", String(200), nullable=False),  # what it is about: one of each, whoever found it
    Column("title", String(300), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("error", String(300), nullable=False),
    Column("created_at", Float, nullable=False),
    PrimaryKeyConstraint("channel_id", "key", name="pk_notices"),
)
Index("ix_notices_due", notices.c.state, notices.c.due_at)

chains = Table(
    "chains",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("links", JSON, nullable=False),
    Column("runs", JSON, nullable=False),  # those of the first links
    Column("state", String(16), nullable=False),
    Column("note", String(500), nullable=False),
    Column("options", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
)
Index("ix_chains_owner", chains.c.owner, chains.c.created_at)
Index("ix_chains_state", chains.c.state)

OWNED = tuple(table for table in metadata.sorted_tables if "owner" in table.c)
