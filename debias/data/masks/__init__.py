"""Foreground masks and filled backgrounds: finding, making and writing their files."""
