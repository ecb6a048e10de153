// What rests in the database, and every statement that changes it. Rows hold integers;
// names, caps and metadata rest only inside sealed blobs.

/** Raised with each change of the tables below. A state of another version is refused, never converted. */
export const VERSION = 3

export const tables = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

  -- One row per inode. locator: for a directory, a keyed hash of its storage index; null before it has one.
  -- parent: a directory that names it.
  -- edges: how many names lead to it here.
  -- mark: of a mutable file, a keyed hash of the version that size and times are of; 0 until it is asked for.
  -- createverf: the verifier of the exclusive create that made it.
  -- covered, timed: the last kept write that is in its content, and in its times, by its number in the log.
  CREATE TABLE inode (
    id INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    atime INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    ctime INTEGER NOT NULL,
    writable INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    edges INTEGER NOT NULL,
    mark INTEGER NOT NULL,
    locator BLOB UNIQUE,
    createverf BLOB,
    covered INTEGER NOT NULL DEFAULT 0,
    timed INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX inode_parent ON inode (parent);

  -- The directories that name a file of several names.
  CREATE TABLE link (id INTEGER NOT NULL, dir INTEGER NOT NULL, PRIMARY KEY (id, dir)) STRICT, WITHOUT ROWID;

  -- What a directory is (its cap) and what it last held, each sealed. cap: null before it is on the
  -- grid; listing: null until first read. next: the ordinal for its next name that is new.
  CREATE TABLE directory (
    id INTEGER PRIMARY KEY,
    cap BLOB,
    listing BLOB,
    next INTEGER NOT NULL
  ) STRICT;

  -- A name whose edge on the grid is to become another; sealed.
  CREATE TABLE intent (
    dir INTEGER NOT NULL,
    cookie INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (dir, cookie)
  ) STRICT;

  -- What is known here alone of an inode: its cap, the metadata of its edge, the caps that we may have
  -- linked for it; sealed. valid: bytes of the cap's content that are still its own. seq: the last change
  -- of its content that is durable.
  CREATE TABLE local (
    id INTEGER PRIMARY KEY,
    body BLOB NOT NULL,
    valid INTEGER NOT NULL,
    since INTEGER NOT NULL,
    seq INTEGER NOT NULL DEFAULT 0
  ) STRICT;

  -- Bytes of an inode that are not the cap's: length from start, in records of the staging file segment.
  -- The first record lies at position at and is number record; skip: bytes of it that come before; plain:
  -- bytes of all its records. seq: which change of the inode wrote them.
  CREATE TABLE extent (
    id INTEGER NOT NULL,
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    at INTEGER NOT NULL,
    record INTEGER NOT NULL,
    skip INTEGER NOT NULL,
    plain INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (id, start)
  ) STRICT, WITHOUT ROWID;

  -- The staging files and the key of each, sealed.
  CREATE TABLE segment (id INTEGER PRIMARY KEY, key BLOB NOT NULL) STRICT;

  -- Results of changing calls by their key, in a ring.
  CREATE TABLE once (slot INTEGER PRIMARY KEY, seq INTEGER NOT NULL, key TEXT NOT NULL, result TEXT NOT NULL) STRICT;

  -- What two sides changed at once; sealed.
  CREATE TABLE conflict (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
`

export const statements = {
  setMeta:
    'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  addInode: `INSERT INTO inode (id, generation, kind, mode, size, atime, mtime, ctime, writable, parent, edges, mark, locator, createverf)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  setInode:
    'UPDATE inode SET mode = ?, size = ?, atime = ?, mtime = ?, ctime = ?, writable = ?, mark = ? WHERE id = ?',
  setMark: 'UPDATE inode SET mark = ? WHERE id = ?',
  setTimes: 'UPDATE inode SET mode = ?, atime = ?, mtime = ?, ctime = ?, timed = max(timed, ?) WHERE id = ?',
  setSize: 'UPDATE inode SET size = ?, covered = max(covered, ?) WHERE id = ?',
  setPlace: 'UPDATE inode SET edges = ?, parent = ?, ctime = ? WHERE id = ?',
  setLocator: 'UPDATE inode SET locator = ? WHERE id = ?',
  dropInode: 'DELETE FROM inode WHERE id = ?',
  addLink: 'INSERT OR IGNORE INTO link (id, dir) VALUES (?, ?)',
  dropLink: 'DELETE FROM link WHERE id = ? AND dir = ?',
  dropLinks: 'DELETE FROM link WHERE id = ?',
  addDirectory: 'INSERT INTO directory (id, cap, next) VALUES (?, ?, 1)',
  setDirectoryCap: 'UPDATE directory SET cap = ? WHERE id = ?',
  setListing: 'UPDATE directory SET listing = ?, next = ? WHERE id = ?',
  setNext: 'UPDATE directory SET next = ? WHERE id = ?',
  dropDirectory: 'DELETE FROM directory WHERE id = ?',
  setIntent: `INSERT INTO intent (dir, cookie, body) VALUES (?, ?, ?)
              ON CONFLICT (dir, cookie) DO UPDATE SET body = excluded.body`,
  dropIntent: 'DELETE FROM intent WHERE dir = ? AND cookie = ?',
  dropIntents: 'DELETE FROM intent WHERE dir = ?',
  addLocal: `INSERT INTO local (id, body, valid, since) VALUES (?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET body = excluded.body`,
  setValid: 'UPDATE local SET valid = ?, seq = ? WHERE id = ?',
  dropLocal: 'DELETE FROM local WHERE id = ?',
  setExtent: `INSERT INTO extent (id, start, length, segment, at, record, skip, plain, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
              ON CONFLICT (id, start) DO UPDATE SET length = excluded.length, segment = excluded.segment, at = excluded.at,
              record = excluded.record, skip = excluded.skip, plain = excluded.plain, seq = excluded.seq`,
  dropExtent: 'DELETE FROM extent WHERE id = ? AND start = ?',
  dropExtents: 'DELETE FROM extent WHERE id = ?',
  addSegment: 'INSERT INTO segment (id, key) VALUES (?, ?)',
  dropSegment: 'DELETE FROM segment WHERE id = ?',
  setOnce: 'INSERT OR REPLACE INTO once (slot, seq, key, result) VALUES (?, ?, ?, ?)',
  addConflict: 'INSERT INTO conflict (id, body) VALUES (?, ?)',
  dropConflict: 'DELETE FROM conflict WHERE id = ?',
} as const

/** A statement by its name, and its values in order. */
export type Op = readonly [keyof typeof statements, ...(null | number | bigint | string | Uint8Array)[]]
