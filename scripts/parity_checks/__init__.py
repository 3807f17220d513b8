"""Compares our losses and recipes with the authors' own code; ``scripts/parity`` runs it."""
