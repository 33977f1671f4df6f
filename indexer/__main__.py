"""`python -m indexer`: build a gallery, change it, search it, look at it."""

from indexer.cli.app import main

if __name__ == "__main__":
    main()
