"""One loader per data set. Each returns the ``Examples`` of the files in a folder."""
