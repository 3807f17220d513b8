"""Pictures that formulas draw, for initial weights without any photo."""
