"""The HTTP API: `/api/v1`, and the same router at `/api`."""
