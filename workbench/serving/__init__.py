"""The scorer in use: bundles on the disk, batches of any size, the service and its decision log."""
