"""Bars: reading and repairing files, the catalog, synthetic series. Knows no strategy and no run."""
