"""A process beside the server that has the libraries of numbers loaded, and what it is asked."""
