"""What a model recognises without colour, texture or shape, and how smooth its filters are."""
