"""A run and its stages: what a recipe is written in, and what a run leaves behind."""
