"""analyses/gradients"""
