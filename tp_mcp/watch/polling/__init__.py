"""How TP is polled for watches: targets, due times, leases and outages."""
