"""The database, the outbox with its dispatcher, and the timers. Shared by relay and live-agent server, which add their tables."""
