"""Picture files to arrays: decoding, preprocessing, the cache."""
