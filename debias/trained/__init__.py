"""Trained models outside training: load them, predict new pictures, export them. No Lightning."""
