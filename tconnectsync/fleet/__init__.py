"""Many thousand people on several machines: steps are jobs of Procrastinate in PostgreSQL."""
