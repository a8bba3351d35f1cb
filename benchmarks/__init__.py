"""What lossscape's speed is held against: each benchmark is a module to run, its thresholds beside its rows."""
