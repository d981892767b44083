"""Agents: what decides in a session."""
