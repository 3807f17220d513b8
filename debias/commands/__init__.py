"""One module a command; each has a function ``run`` whose arguments are those of the command
line.
"""
