"""analyses/initial_values"""
