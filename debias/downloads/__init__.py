"""Gets the files of data sets: over HTTP, from the Hub or from Drive, and unpacks them safely."""
