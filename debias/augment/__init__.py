"""Augmentations: functions from ``Batch`` to ``Batch``, for any strategy. Imports only torch."""
