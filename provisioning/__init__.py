"""The operator: PKI and the management-API client."""
