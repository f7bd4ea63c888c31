"""The controller that really runs bash and pytest."""
