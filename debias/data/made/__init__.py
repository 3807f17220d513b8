"""Generated data sets: their loaders, their rules of who gets which bias value, and the files."""
