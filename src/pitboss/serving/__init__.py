"""The ASGI host above the faces: the application, its server, guard, streams and errors."""
