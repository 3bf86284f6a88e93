"""Break the core pages in every small way, and see whether the tests notice."""
