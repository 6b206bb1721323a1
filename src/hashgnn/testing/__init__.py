"""Contract suites that any encoder, index or recommender must pass."""
