"""analyses/film"""
