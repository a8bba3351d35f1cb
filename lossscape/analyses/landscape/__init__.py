"""analyses/landscape"""
