"""The one exception that means: the input is at fault, and here is what to do about it."""


class InputError(ValueError):
    """Bad input from outside (file, video, annotation, checkpoint, setting).

    The message is one line that names the thing at fault and the remedy; the command line prints it without a traceback
    and exits with status 2.
    """
