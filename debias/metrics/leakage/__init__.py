"""How much of the bias can be read from outputs or features."""
