"""What the faces over HTTP have in common: who asks, what that takes, and what an endpoint is handed."""
