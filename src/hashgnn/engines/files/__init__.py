"""Files for engines that are not connected to: one form a file."""
