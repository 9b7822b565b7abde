package memstore

import (
	"database/sql"
	"errors"
	"fmt"

	"imago/ports"
)

// applicationID marks the files of imago ("imag" in ASCII), and schemaVersion
// is the version of the tables below; an imago that knows nothing of encryption
// takes the other for one that is newer. Both are in the header of the file.
const (
	applicationID     = 0x696d6167
	plainVersion1     = 1 // without checksums
	encryptedVersion1 = 2
	schemaVersion     = 3
	unboundVersion    = 4 // the same tables with vectors that are sealed without the owner
	encryptedVersion  = 5 // and with it
)

// pageSize lets three vectors of 512 numbers share a page; on SQLite's default
// of 4096 bytes each would waste half of one.
const pageSize = 8192

// schema keeps vectors apart from what names them. When SQLite moves rows
// between pages it may leave copies in the unused part of a page, where even
// secure_delete does not find them when the row itself is deleted: in one table
// for everything, 4 of 7,209 removed vectors were still in the file after
// 15,000 random writes. The rows of the table vector never move, because they
// are only ever appended and overwritten at equal length: a removed face's slot
// is filled with zeros, and used again later.
const schema = `
CREATE TABLE meta (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE vector (
	slot INTEGER PRIMARY KEY,
	data BLOB NOT NULL -- little-endian float32, sealed where there is a key; zeros where the slot is free
) STRICT;

CREATE TABLE face (
	collection  TEXT NOT NULL,
	user_id     TEXT NOT NULL,
	face_id     TEXT NOT NULL,
	owner       TEXT NOT NULL,
	enrolled_at INTEGER NOT NULL, -- microseconds since 1970, UTC
	slot        INTEGER NOT NULL REFERENCES vector (slot),
	sum         INTEGER NOT NULL DEFAULT 0, -- CRC-32C of all of the row and its vector; see checksum
	PRIMARY KEY (collection, user_id, face_id)
) STRICT, WITHOUT ROWID;
`

// identify finds out whose file this is before anything in it is changed. It
// reports whether the file is still empty.
func (d *database) identify() (fresh bool, err error) {
	var application, objects int64
	if err := d.row("PRAGMA application_id").Scan(&application); err != nil {
		return false, err
	}
	version, err := d.version()
	if err != nil {
		return false, err
	}
	if err := d.row("SELECT count(*) FROM sqlite_schema").Scan(&objects); err != nil {
		return false, err
	}
	switch {
	case application == 0 && version == 0 && objects == 0:
		return true, nil
	case application != applicationID:
		return false, fmt.Errorf("it is the SQLite database of another application; set store.memory.path to another file")
	case version > encryptedVersion:
		return false, fmt.Errorf("it was written by a newer imago (file version %d, this imago knows %d); install that one again",
			version, encryptedVersion)
	case version < plainVersion1:
		return false, fmt.Errorf("its file version is %d, which no imago has written", version)
	}
	return false, nil
}

// version reads the version of the tables.
func (d *database) version() (version int, err error) {
	err = d.row("PRAGMA user_version").Scan(&version)
	return version, err
}

// createSchema turns an empty file into a store of a space, or leaves it empty.
func (d *database) createSchema(space ports.Space) error {
	if err := d.exec("BEGIN IMMEDIATE;" + schema); err != nil {
		return err
	}
	meta, version := map[string]string{metaSpace: space.ID(), metaSpaceName: space.String(), metaFile: newFileID(), metaContents: tally{}.String()}, schemaVersion
	if k := d.vault.sealing(); k != nil {
		meta[metaKey], version = k.name(), encryptedVersion
	}
	if err := d.exec(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version)); err != nil {
		return err
	}
	for key, value := range meta {
		if err := d.setMeta(key, value); err != nil {
			return err
		}
	}
	return d.exec("COMMIT")
}

// meta returns a value of the table meta, "" for none.
func (d *database) meta(key string) (value string, err error) {
	err = d.row("SELECT value FROM meta WHERE key = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return value, err
}

func (d *database) setMeta(key, value string) error {
	return d.exec("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", key, value)
}

// The keys of the table meta.
const (
	metaSpace     = "space"      // ports.Space.ID, by which spaces are compared
	metaSpaceName = "space_name" // ports.Space.String, for people
	metaKey       = "key"        // the name of the key that seals vectors; absent for none
	metaFile      = "file"       // a random ID of this database; see witness
	metaContents  = "contents"   // what is in the file; see tally
	metaPending   = "resealing"  // not all vectors are as they are to be; see resealAll
	metaUnbound   = "unbound"    // while they are not, some may be sealed without the owner
	metaSealed    = "sealed "    // and the name of a key: how many vectors it has sealed at most
)

// checkSpace compares the space of the file with the one configured.
func (d *database) checkSpace(space ports.Space) error {
	var id, name string
	if err := d.row("SELECT value FROM meta WHERE key = ?", metaSpace).Scan(&id); err != nil {
		return fmt.Errorf("its embedding space cannot be read: %w", err)
	}
	if id == space.ID() {
		return nil
	}
	if err := d.row("SELECT value FROM meta WHERE key = ?", metaSpaceName).Scan(&name); err != nil {
		name = id
	}
	return space.Mismatch("it", name, "set store.memory.path to a new file")
}
