"""Errors of Hydra and OmegaConf as one sentence about the argument that was written."""

import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException

_PLUSES = re.compile(r"(?<![\w+])\+\+(?=[\w.@/]+=)")  # added for Hydra: see `overrides.lenient`
_SEVERAL = re.compile(r"Ambiguous value for argument '(.*)'")
_NEEDS_SWEEP = re.compile(r"Sweep parameters '(.*)' requires --multirun")
_THERE = re.compile(r"An item is already at '(.*)'")
_NO_GROUP = re.compile(r"Could not override '(.*[/@].*)'")
_NOT_DELETED = re.compile(r"Could not delete from config\. '(.*)' does not exist")
_HELD = re.compile(r"override ~(\S+): .* does not support deletion")
_MERGING = re.compile(r"Error merging override (.*)", re.DOTALL)


def told(error: HydraException | ValueError) -> str:
    """What is wrong with a command line that Hydra cannot compose."""
    if isinstance(error, OverrideParseException):
        return unreadable(error.override)
    text = _PLUSES.sub("", str(error))
    if found := _SEVERAL.search(text) or _NEEDS_SWEEP.search(text):
        return f"{found[1]} stands for several runs: add -m, or write one value"
    if found := _THERE.search(text):
        return f"+{found[1]}: there is such a key already; leave out the plus"
    if found := _NO_GROUP.search(text):
        return f"{found[1]}: the chosen files have no such choice; +{found[1]}=NAME adds one"
    if found := _NOT_DELETED.search(text):
        return f"~{found[1]} drops nothing: there is no such key (--cfg job prints those there are)"
    cause = error.__cause__ or error.__context__
    reason = str(cause).splitlines()[0] if cause else ""
    if found := _HELD.search(f"{text}: {reason}"):
        key = found[1]
        return f"~{key}: it cannot be left out; write it anew: '~{key}' '+{key}={{_target_: ...}}'"
    if found := _MERGING.match(text):
        return f"{found[1]}: {reason[:1].lower()}{reason[1:]}"
    return " ".join([text.strip().splitlines()[0] if text.strip() else "", reason]).strip()


def unreadable(argument: str) -> str:
    """What is wrong with an argument that is no override."""
    argument = _PLUSES.sub("", argument)
    if "=" not in argument and not argument.startswith("~"):
        return f"'{argument}' is no override: write key=value, or group=name for a file of conf/"
    key, _, value = argument.partition("=")
    if not _is_readable(f"{key}=1"):
        return f"{argument}: '{key}' is no key: write words with dots between them, key.key=value"
    return f"{argument}: '{value}' cannot be read: put it in quotes, \"{key}='...'\""


def _is_readable(argument: str) -> bool:
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True
