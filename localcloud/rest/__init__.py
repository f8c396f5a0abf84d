"""The management API, in Golioth's paths and shapes; each module names its OpenAPI section."""
