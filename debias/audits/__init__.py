"""Audits: which shortcut the data offer, whether a model takes it, and groups to train on."""
