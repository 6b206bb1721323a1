"""The service without HTTP: versions of a model, what they answer, and how many requests run at once."""
