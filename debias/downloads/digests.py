"""Digests of files, written as "md5:..." or "sha256:..."."""

import hashlib
from pathlib import Path

#: Algorithms of published digests, with the number of their hexadecimal digits.
ALGORITHMS = {"md5": 32, "sha256": 64}
_CHUNK = 1 << 20


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file's bytes, as "md5:..." or "sha256:...".

    Args:
        path: the file.
        algorithm: a key of ``ALGORITHMS``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> path.touch()
        >>> file_digest(path, "md5")
        'md5:d41d8cd98f00b204e9800998ecf8427e'
    """
    # not a protection against attackers where a publisher gives only MD5
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"{algorithm}:{digest.hexdigest()}"


def has_digest(path: Path, expected: str) -> bool:
    """Whether a file has a digest "md5:..." or "sha256:..."; any file has the digest ""."""
    return not expected or file_digest(path, expected.partition(":")[0]) == expected.lower()
