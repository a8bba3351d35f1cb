"""Campaigns that look for what is lost, silently wrong, or said badly: `make faults`, `make fuzz`, `make load`."""
