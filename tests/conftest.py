"""Tests share their machine: threads that wait for each other must not spin. Read once, when torch loads."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
