"""The law: the update state machine and every decision it takes. No I/O, no clock."""
