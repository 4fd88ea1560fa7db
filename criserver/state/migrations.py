"""The schema, as the steps that made it. A step once released is never edited; a change is a new step."""

from __future__ import annotations

SANDBOXES = (
    """CREATE TABLE sandboxes (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL, namespace TEXT NOT NULL, uid TEXT NOT NULL, attempt INTEGER NOT NULL,
        state TEXT NOT NULL,
        record BLOB NOT NULL,
        UNIQUE (name, namespace, uid, attempt)
    ) STRICT""",
    """CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        sandbox_id TEXT NOT NULL REFERENCES sandboxes (id),
        name TEXT NOT NULL, attempt INTEGER NOT NULL,
        image_id TEXT NOT NULL,
        state TEXT NOT NULL,
        record BLOB NOT NULL,
        UNIQUE (sandbox_id, name, attempt)
    ) STRICT""",
    # One row per step begun and not yet settled; `detail` is what its undo needs beyond the subject's id.
    """CREATE TABLE journal (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        operation TEXT NOT NULL, subject TEXT NOT NULL, step TEXT NOT NULL, detail TEXT NOT NULL DEFAULT ''
    ) STRICT""",
    "CREATE INDEX journal_subject ON journal (subject)",
    # Records that no longer decode: set aside, so that one bad row never stops the server or holds a name.
    "CREATE TABLE damaged (noun TEXT NOT NULL, id TEXT NOT NULL, record BLOB NOT NULL, error TEXT NOT NULL) STRICT",
    "CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
)

IMAGES = (
    # `number` names the layer's directory: short, so that an overlay of many layers fits in a page of mount options.
    """CREATE TABLE layers (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        diff_id TEXT NOT NULL UNIQUE,
        size INTEGER NOT NULL, inodes INTEGER NOT NULL,
        ready INTEGER NOT NULL
    ) STRICT""",
    # `record` is what model/image.py calls ImageRecord; `config` the image's own configuration document, as it came.
    """CREATE TABLE images (
        id TEXT PRIMARY KEY,
        record BLOB NOT NULL, config BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE image_layers (
        image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        layer INTEGER NOT NULL REFERENCES layers (number),
        PRIMARY KEY (image_id, position)
    ) STRICT""",
    # A reference is a tag ("host/name:tag") or a digest reference ("host/name@sha256:..."); it names one image.
    """CREATE TABLE image_references (
        reference TEXT PRIMARY KEY,
        image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
    ) STRICT""",
    # Who keeps an image from being removed: "container:<id>" runs on it or mounts it.
    """CREATE TABLE image_leases (
        image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        holder TEXT NOT NULL,
        PRIMARY KEY (image_id, holder)
    ) STRICT""",
)

# What an unpacked tree is known again by (drivers/images/unpack/usage); layers from before have none.
LAYER_RECORDS = ("ALTER TABLE layers ADD COLUMN record TEXT NOT NULL DEFAULT ''",)

TRACES = (
    # How operations went, for people: `record` is observe/trace.py's Trace, compressed. No foreign key: it may outlive
    # its pod for a while, and tells of pods that were never made.
    """CREATE TABLE traces (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        sandbox_id TEXT NOT NULL, pod TEXT NOT NULL, operation TEXT NOT NULL,
        record BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX traces_sandbox ON traces (sandbox_id)",
)

LAYER_BOOTS = (
    # The boot in which the layer's tree was made, until it has been flushed to disk.
    "ALTER TABLE layers ADD COLUMN boot TEXT NOT NULL DEFAULT ''",
)

# Under which demands of the signature policy an image was pulled (drivers/images/admission).
IMAGE_SEALS = (
    """CREATE TABLE image_seals (
        image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        demand TEXT NOT NULL,
        PRIMARY KEY (image_id, demand)
    ) STRICT""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (SANDBOXES + IMAGES, LAYER_RECORDS, TRACES, LAYER_BOOTS, IMAGE_SEALS)
