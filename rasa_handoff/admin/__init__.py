"""Commands for a relay or a server. If it is running, its own process executes them: no other process writes its database."""
