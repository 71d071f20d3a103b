"""Memory: the database, the outbox and its pump. Relay and live-agent server share this room and bring their own tables."""
