"""The database schema, as migrations that run once each."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

migrations = Migrations("localcloud")

# Identities are unique over all projects because a PSK handshake names nothing but the identity,
# and Golioth ends each with "@<project id>" anyway.
_FIRST = (
    """CREATE TABLE organizations (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, created_at TEXT NOT NULL) STRICT""",
    """CREATE TABLE projects (
        id TEXT PRIMARY KEY, name TEXT NOT NULL,
        organization_id TEXT NOT NULL REFERENCES organizations(id),
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL) STRICT""",
    """CREATE TABLE api_keys (
        id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects(id),
        name TEXT NOT NULL, digest TEXT NOT NULL, created_at TEXT NOT NULL) STRICT""",
    """CREATE TABLE cohorts (
        project_id TEXT NOT NULL REFERENCES projects(id), id TEXT NOT NULL, name TEXT NOT NULL,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        PRIMARY KEY (project_id, id)) STRICT""",
    """CREATE TABLE devices (
        id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects(id),
        name TEXT NOT NULL, enabled INTEGER NOT NULL DEFAULT 1,
        certificate_id TEXT, cohort_id TEXT, update_status TEXT NOT NULL DEFAULT '{}',
        last_report TEXT, last_seen_offline TEXT,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        UNIQUE (project_id, name), UNIQUE (project_id, certificate_id),
        FOREIGN KEY (project_id, cohort_id) REFERENCES cohorts(project_id, id)) STRICT""",
    "CREATE INDEX devices_by_cohort ON devices (project_id, cohort_id)",
    """CREATE TABLE hardware_ids (
        project_id TEXT NOT NULL, hardware_id TEXT NOT NULL,
        device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
        position INTEGER NOT NULL, PRIMARY KEY (project_id, hardware_id)) STRICT""",
    "CREATE INDEX hardware_ids_by_device ON hardware_ids (device_id)",
    """CREATE TABLE credentials (
        id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects(id),
        device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
        type TEXT NOT NULL, identity TEXT NOT NULL UNIQUE, pre_shared_key TEXT NOT NULL,
        created_at TEXT NOT NULL) STRICT""",
    "CREATE INDEX credentials_by_device ON credentials (device_id)",
    """CREATE TABLE certificates (
        id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects(id),
        type TEXT NOT NULL, demo INTEGER NOT NULL, pem TEXT NOT NULL, fingerprint TEXT NOT NULL,
        created_at TEXT NOT NULL, UNIQUE (project_id, fingerprint)) STRICT""",
    """CREATE TABLE packages (
        project_id TEXT NOT NULL REFERENCES projects(id), id TEXT NOT NULL,
        description TEXT NOT NULL, metadata TEXT NOT NULL,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        PRIMARY KEY (project_id, id)) STRICT""",
    """CREATE TABLE artifacts (
        id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects(id),
        package TEXT NOT NULL, version TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
        type TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        UNIQUE (project_id, package, version)) STRICT""",
    "CREATE INDEX artifacts_by_content ON artifacts (sha256)",
    """CREATE TABLE deployments (
        id TEXT PRIMARY KEY, project_id TEXT NOT NULL, cohort_id TEXT NOT NULL, name TEXT NOT NULL,
        sequence INTEGER NOT NULL, manifest_cbor BLOB NOT NULL, manifest_json BLOB NOT NULL,
        created_at TEXT NOT NULL, UNIQUE (project_id, sequence),
        FOREIGN KEY (project_id, cohort_id) REFERENCES cohorts(project_id, id)
            ON DELETE CASCADE) STRICT""",
    "CREATE INDEX deployments_by_cohort ON deployments (project_id, cohort_id, sequence)",
    """CREATE TABLE deployment_artifacts (
        deployment_id TEXT NOT NULL REFERENCES deployments(id) ON DELETE CASCADE,
        artifact_id TEXT NOT NULL REFERENCES artifacts(id),
        position INTEGER NOT NULL, PRIMARY KEY (deployment_id, artifact_id)) STRICT""",
    "CREATE INDEX deployment_artifacts_by_artifact ON deployment_artifacts (artifact_id)",
    """CREATE TABLE ota_events (
        id INTEGER PRIMARY KEY AUTOINCREMENT, project_id TEXT NOT NULL,
        device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
        cohort_id TEXT NOT NULL, package TEXT NOT NULL, event_type TEXT NOT NULL,
        status INTEGER NOT NULL, message TEXT NOT NULL,
        current_version TEXT NOT NULL, target_version TEXT NOT NULL,
        timestamp TEXT NOT NULL) STRICT""",
    "CREATE INDEX ota_events_by_device ON ota_events (device_id, package)",
    """CREATE TABLE logs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, project_id TEXT NOT NULL,
        device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
        level TEXT NOT NULL, module TEXT NOT NULL, message TEXT NOT NULL,
        metadata TEXT NOT NULL, type TEXT NOT NULL, timestamp TEXT NOT NULL) STRICT""",
    "CREATE INDEX logs_by_device ON logs (device_id)",
    "CREATE INDEX logs_by_time ON logs (timestamp)",
    """CREATE TABLE device_state (
        device_id TEXT PRIMARY KEY REFERENCES devices(id) ON DELETE CASCADE,
        document TEXT NOT NULL) STRICT""",
)

_SETTINGS = (
    """CREATE TABLE settings (
        id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects(id),
        device_id TEXT REFERENCES devices(id) ON DELETE CASCADE,
        key TEXT NOT NULL, data_type TEXT NOT NULL, value TEXT NOT NULL,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL) STRICT""",
    """CREATE UNIQUE INDEX settings_by_key
        ON settings (project_id, key, coalesce(device_id, ''))""",
    "CREATE INDEX settings_by_device ON settings (device_id)",
    # Unix milliseconds of the last change; they stay when the setting itself is deleted.
    "ALTER TABLE projects ADD COLUMN settings_version INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE devices ADD COLUMN settings_version INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE devices ADD COLUMN settings_status TEXT",
)

_STREAM = (
    """CREATE TABLE stream (
        id INTEGER PRIMARY KEY AUTOINCREMENT, project_id TEXT NOT NULL REFERENCES projects(id),
        device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
        data TEXT NOT NULL, timestamp TEXT NOT NULL) STRICT""",
    "CREATE INDEX stream_by_device ON stream (device_id, timestamp)",
    "CREATE INDEX stream_by_time ON stream (project_id, timestamp)",
)

_STREAM_PATHS = (
    "ALTER TABLE stream ADD COLUMN path TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX stream_by_path ON stream (project_id, path, device_id, id)",
    # What was streamed before there was the column; nothing reads other paths by themselves.
    """UPDATE stream SET path = 'edgeferry/metrics'
        WHERE json_type(data, '$.edgeferry.metrics') = 'object'""",
)

_GROUPS = (
    """CREATE TABLE tags (
        id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects(id),
        name TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        UNIQUE (project_id, name)) STRICT""",
    """CREATE TABLE device_tags (
        device_id TEXT NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
        tag_id TEXT NOT NULL REFERENCES tags(id) ON DELETE CASCADE,
        position INTEGER NOT NULL, PRIMARY KEY (device_id, tag_id)) STRICT""",
    "CREATE INDEX device_tags_by_tag ON device_tags (tag_id)",
    """CREATE TABLE blueprints (
        id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects(id),
        name TEXT NOT NULL, board_id TEXT, platform TEXT,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL, UNIQUE (project_id, name)) STRICT""",
    "ALTER TABLE devices ADD COLUMN blueprint_id TEXT REFERENCES blueprints(id)",
    "CREATE INDEX devices_by_blueprint ON devices (blueprint_id)",
    "ALTER TABLE artifacts ADD COLUMN blueprint_id TEXT REFERENCES blueprints(id)"
    " ON DELETE SET NULL",
    "ALTER TABLE settings ADD COLUMN blueprint_id TEXT REFERENCES blueprints(id) ON DELETE CASCADE",
    "DROP INDEX settings_by_key",
    """CREATE UNIQUE INDEX settings_by_key
        ON settings (project_id, key, coalesce(device_id, ''), coalesce(blueprint_id, ''))""",
    "CREATE INDEX ota_events_by_time ON ota_events (project_id, timestamp)",
)


_ORDERED = (
    # The row's number is the last part of each index: a project's or a device's newest rows are
    # found without going through all the others.
    "CREATE INDEX ota_events_of_project ON ota_events (project_id)",
    "CREATE INDEX ota_events_of_device ON ota_events (device_id)",
    "CREATE INDEX logs_of_project ON logs (project_id)",
    "CREATE INDEX stream_of_project ON stream (project_id)",
    "CREATE INDEX stream_of_device ON stream (device_id)",
    "CREATE INDEX stream_by_path_and_time ON stream (project_id, path, timestamp)",
    "ALTER TABLE projects ADD COLUMN last_sequence INTEGER NOT NULL DEFAULT 0",
    """UPDATE projects SET last_sequence = coalesce(
        (SELECT max(sequence) FROM deployments WHERE project_id = projects.id), 0)""",
)


@migrations()
def first_schema(db: Database) -> None:
    """Everything the first version stores."""
    for statement in _FIRST:
        db.execute(statement)


@migrations()
def settings(db: Database) -> None:
    """Settings, and what devices said about them."""
    for statement in _SETTINGS:
        db.execute(statement)


@migrations()
def stream(db: Database) -> None:
    """What devices stream."""
    for statement in _STREAM:
        db.execute(statement)


@migrations()
def stream_paths(db: Database) -> None:
    """Where in a device's stream an entry belongs, so that one path can be read by itself."""
    for statement in _STREAM_PATHS:
        db.execute(statement)


@migrations()
def groups(db: Database) -> None:
    """Tags, blueprints and settings of blueprints."""
    for statement in _GROUPS:
        db.execute(statement)


@migrations()
def ordered(db: Database) -> None:
    """Lists without sorting, and sequence numbers that outlive the deployments that had them."""
    for statement in _ORDERED:
        db.execute(statement)
