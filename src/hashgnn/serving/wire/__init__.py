"""What crosses the boundary of the service: requests, ids, errors and log lines. Knows no other part of it."""
