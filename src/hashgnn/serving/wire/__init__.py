"""The wire format of the service: requests, ids, errors and log lines. Independent of its other parts."""
