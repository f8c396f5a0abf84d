"""DTLS 1.2 (RFC 6347) without any I/O: datagrams in, datagrams and plaintexts out.

OpenSSL does the work, through pyOpenSSL's memory BIOs; :mod:`protocol.client` and
:mod:`protocol.server` put sockets and timers around it.
"""
