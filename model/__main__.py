"""`python -m model`: train and evaluate."""

from model.threads import wait_politely

if __name__ == "__main__":
    wait_politely()
    from model.cli import main

    main()
