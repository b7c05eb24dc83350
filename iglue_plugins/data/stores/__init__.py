"""Region stores: folders of memory-mapped region features. The two readers are known here by their names."""

from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.stores.region_stores import RegionStores

__all__ = ["MappedRegions", "RegionStores"]
