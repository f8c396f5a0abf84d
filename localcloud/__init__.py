"""A Golioth-compatible cloud on one machine: CoAP gateway, management API, console.

What tests, the demo and an evaluation without an account run against. Start it in a program with
:class:`localcloud.cloud.LocalCloud`, or as ``edgeferry cloud``.
"""
