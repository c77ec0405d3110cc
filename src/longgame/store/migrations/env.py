"""Run by Alembic inside the transaction that ``upgrade`` has opened, so two processes cannot both migrate."""

from __future__ import annotations

from alembic import context

from longgame.store.schema import METADATA, VERSION_TABLE


def run() -> None:
    """Apply the versions that are missing on the connection that ``upgrade`` handed over."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=METADATA,
        version_table=VERSION_TABLE,
        transactional_ddl=True,
    )
    context.run_migrations()


if __name__ == "env_py":  # the name Alembic gives it; an ordinary import runs nothing
    run()
