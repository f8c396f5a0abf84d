"""``edgeferry doctor``: everything a device needs, looked at one by one, each with a next step."""
