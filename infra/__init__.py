"""Servers, settings and services around the flows."""
