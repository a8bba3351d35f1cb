"""analyses/sharpness"""
