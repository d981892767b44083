"""What a run is: states, events, progress, context, ports, service. Knows nothing of trading."""
