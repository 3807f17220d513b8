"""Which cue, context or background a model's decisions follow."""
