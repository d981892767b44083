"""Strategy documents and their expression language. Knows bars as arrays; never a file, a database or a run."""
