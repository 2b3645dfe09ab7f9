"""The files that the page of the playground has sent: in the memory of this process only."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bedrock_spark.errors import ConfigError
from bedrock_spark.playground.attached import AttachedFile, Files, attached_file

_MOST_BYTES = 200_000_000


@dataclass
class FileStore:
    """The last files. Safe to use from many threads.

    most: their bytes; beyond, those that were used longest ago are forgotten
    """

    most: int = _MOST_BYTES
    _files: OrderedDict[str, AttachedFile] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, data: bytes) -> AttachedFile:
        """Keep a file. Raises ConfigError if it is neither a picture nor a document."""
        made = attached_file(name, data)
        with self._lock:
            self._files[made.id] = made
            self._files.move_to_end(made.id)
            size = sum(len(each.media.data) for each in self._files.values())
            for old in list(self._files)[:-1]:
                if size <= self.most:
                    break
                size -= len(self._files.pop(old).media.data)
        return made

    def find(self, ids: Iterable[str]) -> Files:
        """Return files by their ids. Raises ConfigError if one is not there any more."""
        return dict(self._found(ids))

    def _found(self, ids: Iterable[str]) -> Iterator[tuple[str, AttachedFile]]:
        for name in dict.fromkeys(ids):
            with self._lock:
                found = self._files.get(name)
                if found is not None:
                    self._files.move_to_end(name)
            if found is None:
                raise ConfigError(
                    "a file of this conversation is no longer in the memory of bedrock-spark ui: "
                    "attach it again, or begin a new conversation"
                )
            yield name, found
