"""Trading sessions: agents that decide step by step, on what is known at each step alone."""
