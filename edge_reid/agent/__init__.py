"""One camera from frame to event, and the process around it."""
