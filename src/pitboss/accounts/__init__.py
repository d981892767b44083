"""Who may come in: accounts, tokens, sessions, and how often somebody may guess."""
