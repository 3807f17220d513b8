"""Whether the maps of a model may be believed, and pictures that change its decision."""
