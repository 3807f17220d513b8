"""Tests of an encoder: associations of stimuli, and traces of processing in its features."""
