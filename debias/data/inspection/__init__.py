"""What `debias data check` compares and looks for: counts, rows, files, duplicates."""
