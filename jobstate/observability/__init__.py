"""Neighbours that listen to jobs: each on a page of its own, and none of them steers."""
