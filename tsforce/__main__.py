"""``python -m tsforce``: the command, where the folder of scripts is not on the path."""

from tsforce.cli.main import main

if __name__ == "__main__":
    main()
