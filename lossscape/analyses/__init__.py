"""Analyses: one folder each."""
