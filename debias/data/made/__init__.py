"""Generated data sets: what they are made of, who gets which bias value, and their folders."""
