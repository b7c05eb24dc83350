"""Reading and writing models of VOLTA in its IGLUE version (github.com/e-bug/iglue): JSON and .bin files."""
