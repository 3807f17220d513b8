"""One module per command. Its function ``run`` gets the arguments of the command line."""
