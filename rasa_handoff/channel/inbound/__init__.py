"""Hosting of channels, and the path of a customer's message to the bot or to the desk."""
