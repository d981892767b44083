"""When markets trade: time zones, and sessions of exchanges or by a rule."""
