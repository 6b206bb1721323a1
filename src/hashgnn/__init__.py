"""Learned hash codes for recommenders."""
