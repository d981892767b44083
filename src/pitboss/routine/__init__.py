"""The routine: what runs by itself, at which times, and what follows from what."""
