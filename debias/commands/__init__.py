"""One module a command; its function ``run`` takes the arguments of the command line."""
