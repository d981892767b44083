"""Screens: which of many symbols pass by a document's criteria, on a date or on every date of a range."""
