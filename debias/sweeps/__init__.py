"""Plan, start and tabulate many runs. A run is done once its folder has a ``report.json``."""
