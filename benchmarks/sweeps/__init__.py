"""Sweeps of small nets: two workers against the same runs one after the other."""
