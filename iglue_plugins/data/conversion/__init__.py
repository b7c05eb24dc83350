"""Region features of the IGLUE release, in any of its formats, converted to a store."""
