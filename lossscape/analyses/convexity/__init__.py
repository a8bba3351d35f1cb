"""analyses/convexity"""
