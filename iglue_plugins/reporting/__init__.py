"""Tables, files and charts of finished runs, from their records and predictions alone."""
