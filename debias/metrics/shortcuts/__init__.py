"""Which cue, context or background a model answers by."""
