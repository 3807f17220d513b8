"""One file for each method, close to the algorithm of its paper. No trainer is needed."""
