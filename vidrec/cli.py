"""The command `vidrec`, also `python -m vidrec`: each module of vidrec/commands is a command."""

import ast
import difflib
import importlib
import pkgutil
import sys
from pathlib import Path

from vidrec import __version__, commands


def summaries() -> dict[str, str]:
    """Name -> first line of the docstring of every command, read without importing it."""
    folder = Path(commands.__path__[0])
    lines = {}
    for module in pkgutil.iter_modules(commands.__path__):
        text = ast.get_docstring(ast.parse((folder / f"{module.name}.py").read_text()))
        lines[module.name] = text.splitlines()[0] if text else ""
    return lines


def usage() -> str:
    known = summaries()
    width = max(map(len, known))
    rows = [f"  {name:<{width}}  {summary}" for name, summary in known.items()]
    head = ["usage: vidrec COMMAND [ARGUMENT ...]", "", "commands:"]
    return "\n".join([*head, *rows, "", "vidrec COMMAND --help says more."])


def main() -> None:
    """Run the command that the first argument names with the rest of the arguments."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        return
    if name == "--version":
        print(f"vidrec {__version__}")
        return
    known = summaries()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
        raise SystemExit(f"vidrec: there is no command '{name}'; {hint}")
    # A command that parses its own arguments calls itself by this name in its help.
    sys.argv = [f"vidrec {name}", *arguments]
    importlib.import_module(f"vidrec.commands.{name}").main(arguments)


if __name__ == "__main__":
    main()
