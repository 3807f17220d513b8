"""Measures of shortcuts: do a model's decisions follow the target, or a cue beside it?

Such a cue is the background, an object that often occurs with the target, or a texture.
"""
