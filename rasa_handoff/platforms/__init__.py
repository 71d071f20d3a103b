"""Channels for platforms that are channel and desk in one: after a handoff the vendor relays, and the bot isn't called."""
