"""Recipes: the stages of each published method, in order."""
