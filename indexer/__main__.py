"""`python -m indexer`: build a gallery, change it, search it, look at it."""

from model.threads import wait_politely

if __name__ == "__main__":
    wait_politely()
    from indexer.cli.app import main

    main()
