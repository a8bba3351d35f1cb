"""analyses/curvature"""
