"""``python -m longgame``: the command line."""

from longgame.cli import main

if __name__ == "__main__":
    main()
