"""The control sockets of agent and worker: newline-delimited JSON over UNIX.

A request is ``{"id": …, "method": "…", "params": {…}}``, its reply ``{"id": …, "result": {…}}`` or
``{"id": …, "error": {"reason": "…", "detail": "…"}}``. A client that sent ``subscribe`` also gets
events: ``{"event": "…", …}``.
"""
