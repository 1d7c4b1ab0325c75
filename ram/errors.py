"""The one kind of error that a user can mend."""


class RamError(Exception):
    """A problem that the user can mend, told in plain words.

    The command line prints each problem on a line of its own, without a
    traceback, and ends with exit status 2.

    Args:
        *problems (str): One line each: what is wrong, where (file and key),
            and what to do about it.

    """

    def __init__(self, *problems):
        self.problems = [_one_line(problem) for problem in problems]
        super().__init__('\n'.join(self.problems))


def _one_line(text):
    """The text without what breaks lines or steers a terminal."""
    return ''.join(
        c if c.isprintable() else ' ' if c.isspace() else
        c.encode('unicode_escape').decode() for c in text)
