"""Backtests and sweeps as plain functions over bars: no database, no HTTP, usable from a notebook."""
