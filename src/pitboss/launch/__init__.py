"""How workers are started and told that there is work."""
