"""The error that the program raises for invalid input."""


class RamError(Exception):
    """Invalid input, described so that the user can correct it.

    The command line prints each problem on a line of its own, without a
    traceback, and ends with exit status 2.

    Args:
        *problems: One line each: file and key, what is wrong, what to do.

    """

    def __init__(self, *problems: str):
        self.problems = [_one_line(problem) for problem in problems]
        super().__init__('\n'.join(self.problems))


def _one_line(text):
    """The text without line breaks and control characters."""
    return ''.join(
        c if c.isprintable() else ' ' if c.isspace() else
        c.encode('unicode_escape').decode() for c in text)
