"""analyses/fit"""
