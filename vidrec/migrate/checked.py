"""The check that a migrated configuration composes, and to what it must."""

import dataclasses
from dataclasses import replace

from vidrec.api import compose
from vidrec.errors import ConfigError
from vidrec.migrate.command_line import arguments
from vidrec.migrate.composed import places_of
from vidrec.migrate.migrated import Migrated, pinned


def checked(migrated: Migrated) -> Migrated:
    """The same, with what its command needs to give exactly the values it stands for, or with the
    problem that vidrec has with it.
    """
    for _ in range(2):  # what was pinned is checked too
        try:
            conf = compose(*arguments(migrated))
        except ConfigError as error:
            return replace(migrated, problem=str(error))
        pins = pinned(migrated, places_of(dataclasses.asdict(conf)))
        if pins.overrides == migrated.overrides:
            break
        migrated = pins
    return migrated
