"""analyses/pair"""
