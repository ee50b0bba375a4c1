"""Tables of the merge study, from its stored rows alone."""


def tables(*_):
    """Written once the rows are there."""
