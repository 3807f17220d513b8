"""Foreground masks: reading, making and writing them."""
