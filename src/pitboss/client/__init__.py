"""The HTTP API from Python. Knows nothing of the engine: it could run on another machine."""
