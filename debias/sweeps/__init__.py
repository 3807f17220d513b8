"""Many runs: which ones, where, with what results. A run with a report.json is done."""
