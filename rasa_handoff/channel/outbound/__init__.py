"""Delivery to customers outside a turn of their own, by each channel's method."""
