"""What can be wrong with one source of a file. Another source of the same file may still work."""


class SourceError(Exception):
    """A source does not give the file; the message is the reason, without the address."""


class UnreachableError(SourceError):
    """The host of a source cannot be reached, as on a machine without a network."""
