"""Alembic's entry: runs the migrations on the connection that `storage.migrate` hands over."""

from alembic import context

from pitboss.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
