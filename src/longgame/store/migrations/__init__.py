"""The Alembic environment of the log. It is run when a store is opened; nobody needs the ``alembic`` command."""
