"""``edgeferry diag``: everything a supporter needs to know of a device, without its secrets."""
