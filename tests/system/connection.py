"""A SQLite file as other programs see it."""

import sqlite3
from contextlib import closing, contextmanager


@contextmanager
def plain(path):
    """A connection of another program to a file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection
