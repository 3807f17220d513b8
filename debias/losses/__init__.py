"""Mathematical quantities: per-sample in, per-sample or scalar out. They know no models."""
