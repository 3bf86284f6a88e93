"""Where jobs are kept: each store on a page of its own, and the form in which all keep them."""

from .._codec import decoded, encoded

__all__ = ["decoded", "encoded"]
