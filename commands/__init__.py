"""The one command, ``edgeferry``; may know every package, and no package knows it."""
