"""Commands: `python -m benchmarks VERB --help`."""

from model.threads import wait_politely

if __name__ == "__main__":
    wait_politely()
    from benchmarks.cli import main

    main()
