"""What a run leaves behind: predictions, report.json, a page to read, and tables over several runs.
No training.
"""
