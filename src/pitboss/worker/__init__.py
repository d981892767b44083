"""Worker processes: claim runs, give each a process of its own, supervise, renew, recover. Knows no trading."""
