"""Kept stages on object storage: a store on this machine that takes and gives whole stages.

A stage is sent under a name that no other process uses. A small object, the *marker*, then names
it. A stage without a marker does not exist for others. The first marker stays; if the storage
cannot refuse a second one, the last stays. In both cases it names a whole stage.
"""

import json
import os
import uuid
from contextlib import suppress
from pathlib import Path

from debias.files import made_whole
from debias.storage.copies import Copy
from debias.storage.urls import copies_folder, local_copy, opened, told_errors
from debias.store import FILES, RECORD, STAGES, USERS, KeptStage, Store, kept_files


class StoredStages(Store):
    """The kept stages of a folder on object storage, in a local copy.

    Locks, features and the notes of who has a stage are those of the local copy. Two machines may
    therefore train the same stage at once.

    Args:
        url: URL of the folder.
        cache_dir: the cache folder; ``None`` means that of ``DEBIAS_CACHE``.
    """

    def __init__(self, url: str, cache_dir: str | None) -> None:
        super().__init__(local_copy("share", url, cache_dir))
        self.copies = copies_folder("share", url, cache_dir)
        self.place = opened("share", url)

    def find(self, key: str) -> KeptStage | None:
        """What the kept stage with this digest is. It is brought if it is not here.

        Raises:
            InputError: the storage cannot be read.
        """
        record = super().find(key)
        if record is None and self._bring(key):
            record = super().find(key)
        return record

    def keep(self, key: str, source: Path, record: KeptStage) -> None:
        """Keep a finished stage here and on the storage; see :meth:`debias.store.Store.keep`.

        Raises:
            InputError: the storage cannot be written.
        """
        super().keep(key, source, record)
        with told_errors("share", self.place.url):
            if self._part(key) is None:
                self._send(key)

    def _marker(self, key: str) -> str:
        return self.place.below(f"{STAGES}/{key}.json")

    def _folder(self, key: str, part: str) -> str:
        return self.place.below(f"{STAGES}/{key}/{part}")

    def _part(self, key: str) -> str | None:
        """The name under which a stage was sent; ``None`` if there is none."""
        with suppress(FileNotFoundError):
            return str(json.loads(self.place.files.cat_file(self._marker(key)))["part"])
        return None

    def _bring(self, key: str) -> bool:
        with told_errors("share", self.place.url):
            part = self._part(key)
            if part is None:
                return False
            place = self.place._replace(path=self._folder(key, part))
            arriving = self.folder / STAGES / f".{key}.{part}.arriving"
            copy = Copy(place, arriving, self.copies)
            copy.pull()
        with made_whole(self.folder / STAGES / key, shared=True) as beside:
            for name in (RECORD, FILES):
                os.replace(arriving / name, beside / name)
            (beside / USERS).mkdir()
        arriving.rmdir()
        copy.note.unlink()
        return True

    def _send(self, key: str) -> None:
        entry, part = self.folder / STAGES / key, uuid.uuid4().hex
        names = [f"{FILES}/{name}" for name in kept_files(entry / FILES)]
        for name in (*names, RECORD):
            self.place.files.put_file(str(entry / name), f"{self._folder(key, part)}/{name}")
        content = json.dumps({"part": part}).encode()
        try:
            self.place.files.pipe_file(self._marker(key), content, mode="create")
        except FileExistsError:
            self.place.files.rm(self._folder(key, part), recursive=True)
