"""Kommunicate: custom bots by webhook."""
