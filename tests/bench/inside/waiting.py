"""Waits for what becomes true by itself."""

import time

PATIENCE = 60


def wait(ready, pause=0.02, patience=PATIENCE):
    """Looks again and again; the last answer."""
    end = time.monotonic() + patience
    while not (found := ready()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {patience} s")
        time.sleep(pause)
    return found
