"""What the kinds that run a strategy document share: its params, its sources, its bars."""
