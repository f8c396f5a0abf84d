"""What Edgeferry's programs take to start, and what they hold of the machine then."""
