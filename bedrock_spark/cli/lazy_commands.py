"""The commands of a group by name; the module of a command is imported when it is looked up.

The shell completion starts the program at each Tab, and needs the options of one command at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib import import_module

import click


class LazyCommands(MutableMapping[str, click.Command]):
    """Commands, as a group of click keeps them.

    places: the module and the name of each in it, such as `bedrock_spark.cli.check:check`
    added: is called with a command once it is imported
    """

    def __init__(self, places: Mapping[str, str], added: Callable[[click.Command], None]) -> None:
        self._places = dict(places)
        self._added = added
        self._commands: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._commands:
            module, _, attribute = self._places[name].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            self._added(command)
            self._commands[name] = command
        return self._commands[name]

    def __contains__(self, name: object) -> bool:
        return name in self._commands or name in self._places

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._commands.pop(name, None)
        self._places.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._places, **self._commands})

    def __len__(self) -> int:
        return len({**self._places, **self._commands})
