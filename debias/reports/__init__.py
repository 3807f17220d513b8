"""What a run leaves behind: predictions, report.json, a page, and tables over runs."""
