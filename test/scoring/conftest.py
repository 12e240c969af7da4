"""Imports what scoring imports on first use, so that no single test waits for it."""

import fast_bss_eval.numpy  # noqa: F401
import jiwer  # noqa: F401
import sacrebleu.metrics  # noqa: F401
