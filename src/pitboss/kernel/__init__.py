"""Compiled loops: numpy and numba only. Never reads a file, never knows a run."""
