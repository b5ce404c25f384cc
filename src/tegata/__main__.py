"""`python -m tegata`."""

from tegata.cli import main

if __name__ == "__main__":
    main(prog_name="tegata")
