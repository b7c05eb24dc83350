"""Region features of photographs: the cells of a grid over the map that a vision model makes of a picture."""
