"""Life under a service manager: readiness, watchdog, status text, logs."""
