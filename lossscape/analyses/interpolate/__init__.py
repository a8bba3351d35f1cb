"""analyses/interpolate"""
