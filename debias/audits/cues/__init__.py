"""Cues: what is left of a picture if all else is removed, and how much it tells of the class."""
