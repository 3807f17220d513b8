"""A run and its stages, the base class of recipes, and the files of a finished run."""
