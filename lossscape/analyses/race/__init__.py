"""analyses/race"""
