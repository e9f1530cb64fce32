"""Running programs: jobs, the live view, the demonstration, estimates."""
