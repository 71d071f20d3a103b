"""The desk's pages and files over HTTP, and signing in."""
