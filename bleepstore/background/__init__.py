"""What goes on beside the requests: one periodic service each, in small units that pace themselves."""
