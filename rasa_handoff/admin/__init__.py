"""Commands for a side that may be running: they go through its process, never behind its back. Used by relay and server."""
