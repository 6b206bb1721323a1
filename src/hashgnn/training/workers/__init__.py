"""Training on several processes: the group that they form, what is parted among them, and how they are started."""
