"""The operations on conversations, one transaction each, and how changes are published to connected pages and relays."""
