"""Searches side by side: engines, peers, and what they are asked."""
