"""Methods that are compared with LMLE: their objectives, decision rules and settings, in one catalogue."""
