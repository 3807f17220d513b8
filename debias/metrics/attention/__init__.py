"""Where attribution maps lie."""
