"""Platform channels: a vendor's channel and desk in one, so that after a handoff the vendor relays and the bot isn't called."""
