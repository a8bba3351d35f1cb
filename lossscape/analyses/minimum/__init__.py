"""analyses/minimum"""
