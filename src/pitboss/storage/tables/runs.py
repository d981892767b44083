"""Runs with their events and what they leave, and the workers that do them."""

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
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    false,
)

from pitboss.runs.model import PARQUET
from pitboss.storage.tables.schema import metadata

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
