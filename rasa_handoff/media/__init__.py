"""Pictures and files: cleaned, stored, swept, and given out by signed addresses that expire; the same on both sides."""
