"""Tables, migrations and the adapters of the run engine's ports, over SQLite and PostgreSQL alike."""
