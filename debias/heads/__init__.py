"""Fit last layers on fixed features: many linear heads at once, and DFR. Without Lightning."""
