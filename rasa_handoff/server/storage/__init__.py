"""The server's tables, and its conversations and messages as they stand in them."""
