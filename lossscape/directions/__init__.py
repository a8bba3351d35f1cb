"""Which directions are asked for, and the plane that they make."""
