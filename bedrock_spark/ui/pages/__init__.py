"""The pages, one file each. Each file has the blueprint `page`."""
