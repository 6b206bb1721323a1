"""The service as processes: a socket, a web server, one worker or several."""
