"""URLs of object storage: which texts are URLs, where their local copies lie, and opening them."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from debias.errors import InputError, near, shown

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.]*://")
#: Folder of all local copies, below the cache folder.
COPIES = "storage"
#: What installs the package of a protocol. For the others, fsspec names the package.
_EXTRAS = {"s3": "debias-vision[storage]", "s3a": "debias-vision[storage]"}
_KEYS = "(for s3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials)"
_SERVER = "(for s3 on a server of your own: AWS_ENDPOINT_URL)"


class StorageError(InputError):
    """The storage or the network failed."""


class Place(NamedTuple):
    """A folder or file on object storage.

    Attributes:
        files: the file system of fsspec.
        path: the path in it.
        url: the URL.
        key: the setting that named it, such as "data.root", for messages.
    """

    files: Any
    path: str
    url: str
    key: str

    def below(self, name: str) -> str:
        """Path of a file of the folder; of the place itself for an empty name."""
        return f"{self.path}/{name}" if name else self.path


def is_url(value: object) -> bool:
    """Whether a setting names a place on object storage.

    Example:
        >>> is_url("s3://bucket/birds"), is_url("/data/birds"), is_url(None)
        (True, False, False)
    """
    return isinstance(value, str) and _URL.match(value) is not None


def joined(url: str, *names: str) -> str:
    """A URL below a URL."""
    return "/".join([url.rstrip("/"), *names])


def named_cache(cache_dir: str | None) -> str | None:
    """The cache folder that the user named: ``cache_dir``, else the variable ``DEBIAS_CACHE``."""
    return cache_dir or os.environ.get("DEBIAS_CACHE")


def copies_folder(key: str, url: str, cache_dir: str | None = None) -> Path:
    """Folder of all local copies, below the cache folder.

    Raises:
        InputError: no cache folder is named.
    """
    cache = named_cache(cache_dir)
    if not cache:
        # some commands, such as `debias audit` on a data set, have no cache_dir
        remedy = "set the environment variable DEBIAS_CACHE, or cache_dir=FOLDER in the config"
        raise InputError(f"{key}={url} needs a cache folder for its local copy: {remedy}")
    return Path(cache) / COPIES


def local_copy(key: str, url: str, cache_dir: str | None = None) -> Path:
    """Where the local copy of a folder or file lies: ``CACHE/storage/PROTOCOL/BUCKET/PATH``.

    Args:
        key: the setting that names it, for messages.
        url: its URL.
        cache_dir: the cache folder; ``None`` means that of ``DEBIAS_CACHE``.

    Raises:
        InputError: no cache folder is named, or the URL names no bucket.
    """
    protocol, _, rest = url.partition("://")
    parts = PurePosixPath(rest.strip("/")).parts
    if not parts or ".." in parts:
        raise InputError(f"{key}={url} must be PROTOCOL://BUCKET/PATH, without '..'")
    return copies_folder(key, url, cache_dir).joinpath(protocol, *parts)


def opened(key: str, url: str) -> Place:
    """Open a URL by the package of its protocol. Nothing is read yet.

    Raises:
        InputError: the protocol is unknown, or its package is not installed.
    """
    import fsspec

    protocol = url.partition("://")[0]
    known = {*fsspec.available_protocols(), *fsspec.registry}
    if protocol not in known:
        hint = near(protocol, sorted(known))
        raise InputError(f"{key}={url}: unknown protocol {protocol!r}; {hint}")
    try:
        with told_errors(key, url):
            files, path = fsspec.url_to_fs(url)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        remedy = f"pip install '{extra}'" if extra else str(error)
        raise InputError(f"{key}={url} needs a package that is not installed: {remedy}") from None
    return Place(files, path.rstrip("/"), url, key)


@contextmanager
def told_errors(key: str, url: str) -> Iterator[None]:
    """Turn an error of the storage into one line: what failed, and what to check.

    Raises:
        StorageError: the storage, its package or the network raised an error.
    """
    try:
        yield
    except (InputError, ImportError):
        raise
    except Exception as error:  # each package has exceptions of its own
        name = type(error)
        if name.__module__ == "builtins" and not isinstance(error, OSError):
            raise
        if isinstance(error, PermissionError) or "Credential" in name.__name__:
            remedy = f"check the credentials and their rights {_KEYS}"
        elif isinstance(error, FileNotFoundError):
            remedy = "check the bucket and the path"
        else:
            remedy = f"check the address and the network {_SERVER}"
        reason = shown(str(error).strip().splitlines()[:1]) or name.__name__
        raise StorageError(f"{key}={url}: {reason}: {remedy}") from error
