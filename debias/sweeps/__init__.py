"""Many runs: which ones, where they run, what came back. A run is done when its report.json is
there.
"""
