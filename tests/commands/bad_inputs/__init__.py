"""Inputs that must be refused by one line, by kind: each module holds the rows of a kind or two."""
