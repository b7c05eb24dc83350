"""Recipes: one YAML file for each run, checked as a whole before anything starts."""
