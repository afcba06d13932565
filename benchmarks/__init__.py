"""Measurements, and the records that they leave."""
