"""`python -m vidrec COMMAND`, the same as `vidrec COMMAND`."""

from vidrec.cli import main

if __name__ == "__main__":
    main()
