"""Runs compared: means over seeds, what it takes to reach a value, learning rates, differences."""
