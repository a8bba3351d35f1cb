"""Studies: what trains and evaluates many runs, and says which published statements hold."""
