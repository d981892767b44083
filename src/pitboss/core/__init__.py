"""What everything else stands on: errors, settings, ids and the clock. Imports nothing of pitboss."""
