"""Methods of several stages: one recipe per published method."""
