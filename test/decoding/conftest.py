"""Imports what scores are made with on first use, so that no single test waits for it."""

import fast_bss_eval.numpy  # noqa: F401
