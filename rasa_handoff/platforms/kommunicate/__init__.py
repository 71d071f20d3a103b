"""The platform channel for Kommunicate, whose custom bots are called by webhook."""
