"""One loader per data set: files to examples."""
