// What rests in the database, and every statement that changes it. Rows hold integers;
// names, caps and metadata rest only inside sealed blobs.

/** Raised with each change of the tables below. A state of another version is refused, never converted. */
export const VERSION = 1

export const tables = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

  -- One row per inode. locator: for a directory, a keyed hash of its storage index.
  -- parent: the directory whose listing holds its name (for a directory: one of them).
  -- edges: how many listings here name it.
  -- mark: of a mutable file, a keyed hash of the version that size and times are of; 0 until it is asked for.
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
    locator BLOB UNIQUE
  ) STRICT;
  CREATE INDEX inode_parent ON inode (parent);

  -- What a directory is (its cap) and what it last held, each sealed. listing: null until first read.
  CREATE TABLE directory (
    id INTEGER PRIMARY KEY,
    cap BLOB NOT NULL,
    listing BLOB
  ) STRICT;
`

export const statements = {
  setMeta:
    'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  addInode: `INSERT INTO inode (id, generation, kind, mode, size, atime, mtime, ctime, writable, parent, edges, mark, locator)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  setInode:
    'UPDATE inode SET mode = ?, size = ?, atime = ?, mtime = ?, ctime = ?, writable = ?, mark = ? WHERE id = ?',
  addEdges: 'UPDATE inode SET edges = edges + ?, parent = ? WHERE id = ?',
  dropInode: 'DELETE FROM inode WHERE id = ?',
  addDirectory: 'INSERT INTO directory (id, cap) VALUES (?, ?)',
  setDirectoryCap: 'UPDATE directory SET cap = ? WHERE id = ?',
  setListing: 'UPDATE directory SET listing = ? WHERE id = ?',
} as const

/** A statement by its name, and its values in order. */
export type Op = readonly [keyof typeof statements, ...(null | number | bigint | string | Uint8Array)[]]
