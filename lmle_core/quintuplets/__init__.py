"""Quintuplets for the table mode: mined once over a subset, exactly or from random pools of candidates."""

from lmle_core.quintuplets.mining import mine
from lmle_core.quintuplets.table import Quintuplets

__all__ = ["Quintuplets", "mine"]
