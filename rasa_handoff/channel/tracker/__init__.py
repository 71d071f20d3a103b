"""The running bot, its tracker store, and the return of a conversation to the bot."""
