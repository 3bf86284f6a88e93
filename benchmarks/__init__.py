"""Measurements beside peers: one question a page. Run them with ``tox -e bench``."""
