"""Tests share their machine: threads that wait for each other must not spin; read once, when torch loads."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
