"""The device gateway: Golioth's CoAP resources over DTLS."""
