"""Write and read the results of runs: predictions, ``report.json``, HTML pages, and tables."""
