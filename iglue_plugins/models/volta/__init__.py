"""Models of the VOLTA toolkit in its IGLUE version (github.com/e-bug/iglue): a JSON configuration and a .bin file."""
