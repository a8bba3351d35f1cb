"""analyses/saddles"""
