"""Trading accounts: orders, fills, positions and a ledger, as pure rules."""
