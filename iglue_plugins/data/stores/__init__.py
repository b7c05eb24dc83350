"""Region features on disk: one store (`mapped_regions`), several stores as one (`region_stores`), and their files."""
