"""First tables: tasks, candidates, runs, attempts and what hangs from them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Types are spelled here as the database sees them: a revision must not change when the models do.
HASH = sa.String(64)
RUN_ID = sa.String(32)
ENUM = sa.String(32)
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make every table."""
    _make_tasks()
    _make_runs()
    _make_attempts()
    _make_outcomes()


def _make_tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("hash", HASH, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("direction", ENUM, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_tasks"),
    )
    op.create_index("ix_tasks_slug", "tasks", ["slug"])
    op.create_table(
        "candidates",
        sa.Column("hash", HASH, nullable=False),
        sa.Column("language", ENUM, nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_candidates"),
    )


def _make_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", RUN_ID, nullable=False),
        sa.Column("task_hash", HASH, nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", ENUM, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("best_attempt", sa.Integer(), nullable=True),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(["task_hash"], ["tasks.hash"], name="fk_runs_task_hash_tasks"),
    )
    op.create_index("ix_runs_task_hash", "runs", ["task_hash"])
    op.create_index("ix_runs_state", "runs", ["state"])
    op.create_index("ix_runs_created_at", "runs", ["created_at"])
    op.create_table(
        "events",
        sa.Column("run_id", RUN_ID, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "sequence", name="pk_events"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_events_run_id_runs"),
    )


def _make_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("run_id", RUN_ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("operator", ENUM, nullable=False),
        sa.Column("candidate_hash", HASH, nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_attempts"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_attempts_run_id_runs"),
        sa.ForeignKeyConstraint(["candidate_hash"], ["candidates.hash"], name="fk_attempts_candidate_hash_candidates"),
    )
    op.create_index("ix_attempts_candidate_hash", "attempts", ["candidate_hash"])
    op.create_index("ix_attempts_created_at", "attempts", ["created_at"])
    op.create_table(
        "attempt_parents",
        *_attempt_key("attempt_parents", "position"),
        sa.Column("parent", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "parent"],
            ["attempts.run_id", "attempts.number"],
            name="fk_attempt_parents_run_id_parent_attempts",
        ),
    )


def _make_outcomes() -> None:
    op.create_table(
        "traces",
        *_attempt_key("traces"),
        sa.Column("kind", ENUM, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=False),
        sa.Column("cost_usd", sa.Double(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
    )
    op.create_table(
        "verdicts",
        *_attempt_key("verdicts"),
        sa.Column("status", ENUM, nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
    )
    op.create_index("ix_verdicts_status", "verdicts", ["status"])
    op.create_table(
        "measurements",
        *_attempt_key("measurements"),
        sa.Column("basis", ENUM, nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("speedup", sa.Double(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
    )
    op.create_index("ix_measurements_basis_device_speedup", "measurements", ["basis", "device", "speedup"])


def _attempt_key(table: str, *more: str) -> tuple[SchemaItem, ...]:
    """Return the columns and constraints that tie `table` to one attempt."""
    names = ("number", *more)
    return (
        sa.Column("run_id", RUN_ID, nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False, autoincrement=False) for name in names),
        sa.PrimaryKeyConstraint("run_id", *names, name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["run_id", "number"], ["attempts.run_id", "attempts.number"], name=f"fk_{table}_run_id_number_attempts"
        ),
    )
