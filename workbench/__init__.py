"""Credit model workbench: the helper package behind the notebooks."""
