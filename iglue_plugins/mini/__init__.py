"""The embedded benchmark: four tasks on scenes of emoji pictures, in 15 languages."""
