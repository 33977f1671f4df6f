"""`python -m stitch`: draw a gallery, a contact sheet, or measure how fast that is."""

import sys

from stitch.cli import app

if __name__ == "__main__":
    sys.exit(app(prog_name="python -m stitch"))
