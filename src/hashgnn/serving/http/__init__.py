"""The service over HTTP: routes, keys, problem documents. Statuses are set here and nowhere else."""
