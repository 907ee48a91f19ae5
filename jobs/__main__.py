"""The program `imagesweep`. Light: a worker process imports the module that the program began with, and needs nothing of it."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from jobs.cli import main as command_line  # noqa: PLC0415

    command_line()


if __name__ == "__main__":
    main()
