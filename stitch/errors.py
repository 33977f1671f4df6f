"""The one error stitch raises; its text is a sentence for the person at the keyboard."""


class StitchError(ValueError):
    """What was found, what was expected, what to do."""
