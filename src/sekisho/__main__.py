"""`python -m sekisho` is the command `sekisho`."""

from sekisho.cli import main

if __name__ == "__main__":
    main()
