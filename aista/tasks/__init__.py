"""Task definitions: assemble registered components from a config and turn batches into losses."""
