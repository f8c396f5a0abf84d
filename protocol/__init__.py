"""Golioth's device protocol: DTLS, CoAP transport for aiocoap, codecs, device session."""
