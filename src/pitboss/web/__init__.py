"""The desk: pitboss in the browser. Pages are rendered here, from the same services as the API."""
