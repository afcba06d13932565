"""How many CPU cores there are to compute on."""

import joblib


def cores() -> int:
    """Those that this process may use: by its affinity, and by its container's quota."""
    return int(joblib.cpu_count())
