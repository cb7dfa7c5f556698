"""The one exception for input that a user can mend."""


class InputError(ValueError):
    """Bad input: a file, a folder, a knob or a checkpoint that cannot be used.

    The message stands alone: it names the culprit (the path or the knob) and says what was expected, so that
    the command line can show it without a traceback.
    """
