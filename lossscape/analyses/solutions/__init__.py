"""analyses/solutions"""
