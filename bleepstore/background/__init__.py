"""What goes on beside the requests: periodic services, in small units that pace themselves."""
