"""A report of finished runs as one HTML page that needs neither a network nor a server."""
