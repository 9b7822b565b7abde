package sqlite

import (
	"cmp"
	"context"
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
	checksumVersion   = 3 // without the column expires_at
	unboundVersion    = 4 // the same tables with vectors that are sealed without the owner
	encryptedVersion5 = 5 // and with it
	expiryVersion     = 6 // without the table chip
	encryptedVersion7 = 7
	schemaVersion     = 8
	encryptedVersion  = 9
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

CREATE TABLE vector ` + vectorColumns + `;

CREATE TABLE face (
	collection  TEXT NOT NULL,
	user_id     TEXT NOT NULL,
	face_id     TEXT NOT NULL,
	owner       TEXT NOT NULL,
	enrolled_at INTEGER NOT NULL, -- microseconds since 1970, UTC
	expires_at  INTEGER NOT NULL DEFAULT 0, -- likewise, 0 for never
	slot        INTEGER NOT NULL REFERENCES vector (slot),
	sum         INTEGER NOT NULL DEFAULT 0, -- CRC-32C of all of the row and its vector; see checksum
	PRIMARY KEY (collection, user_id, face_id)
) STRICT, WITHOUT ROWID;
` + chipSchema

const vectorColumns = `(
	slot INTEGER PRIMARY KEY,
	data BLOB NOT NULL -- little-endian float32, sealed where there is a key; zeros where the slot is free
) STRICT`

// chipSchema keeps the chips of faces, of those that have one. Nothing of a chip may stay
// either, but here rows are deleted: see padChip.
const chipSchema = `
CREATE TABLE chip (
	slot INTEGER PRIMARY KEY, -- that of the face
	data BLOB NOT NULL -- the chip as padChip makes it
) STRICT;
`

// header is what the file says of itself.
type header struct {
	fresh   bool // the file is still empty
	version int  // of the tables
	meta    map[string]string
}

// readHeader finds out whose file this is before anything in it is changed.
func (f *File) readHeader() error {
	f.header = header{meta: map[string]string{}}
	var application, objects int64
	if err := f.row("SELECT * FROM pragma_application_id, pragma_user_version, (SELECT count(*) FROM sqlite_schema)").
		Scan(&application, &f.version, &objects); err != nil {
		return err
	}
	switch {
	case application == 0 && f.version == 0 && objects == 0:
		f.fresh = true
		return nil
	case application != applicationID:
		return errors.New("it is the SQLite database of another application; set store.memory.path to another file")
	case f.version > encryptedVersion:
		return fmt.Errorf("it was written by a newer imago (file version %d, this imago knows %d); install that version again",
			f.version, encryptedVersion)
	case f.version < plainVersion1:
		return fmt.Errorf("unknown file version %d", f.version)
	}
	rows, err := f.conn.QueryContext(context.Background(), "SELECT key, value FROM meta")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		f.meta[key] = value
	}
	return rows.Err()
}

// createSchema turns an empty file into a store of a space, or leaves it empty.
func (f *File) createSchema(space ports.Space) error {
	meta, version := map[string]string{metaSpace: space.ID(), metaSpaceName: space.String(), metaFile: newFileID(), metaContents: totals{}.String()}, schemaVersion
	if k := f.cipher.sealingKey(); k != nil {
		meta[metaKey], version = k.name(), encryptedVersion
	}
	return f.transact(
		func() error { return f.exec(fmt.Sprintf("%s; PRAGMA application_id = %d", schema, applicationID)) },
		func() error { return f.mark(version, meta) })
}

// upgrade brings the tables of an earlier imago up to date.
func (f *File) upgrade(ctx context.Context) error {
	if f.version < checksumVersion {
		if err := errors.Join(f.addChecksums(ctx), f.readHeader()); err != nil {
			return err
		}
	}
	if f.version < expiryVersion {
		if err := errors.Join(f.addExpiry(), f.readHeader()); err != nil {
			return err
		}
	}
	if f.version < schemaVersion {
		return f.addChips()
	}
	return nil
}

// addChips makes room for chips.
func (f *File) addChips() error {
	return f.transact(
		func() error { return f.exec(chipSchema) },
		func() error { return f.mark(f.version+schemaVersion-expiryVersion, nil) })
}

// addExpiry makes room for expiries. Rows without one have the checksum that they had.
func (f *File) addExpiry() error {
	version, meta := expiryVersion, map[string]string{}
	if f.version != checksumVersion {
		version = encryptedVersion7
	}
	if f.version == unboundVersion {
		meta[metaUnbound] = "yes"
	}
	return f.transact(
		func() error { return f.exec("ALTER TABLE face ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0") },
		func() error { return f.mark(version, meta) })
}

// mark sets the version of the file and values of the table meta.
func (f *File) mark(version int, meta map[string]string) error {
	for key, value := range meta {
		if err := f.setMeta(key, value); err != nil {
			return err
		}
	}
	return f.exec(fmt.Sprintf("PRAGMA user_version = %d", version))
}

func (f *File) setMeta(key, value string) error {
	return f.exec("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", key, value)
}

// The keys of the table meta.
const (
	metaSpace     = "space"      // ports.Space.ID, by which spaces are compared
	metaSpaceName = "space_name" // ports.Space.String, for people
	metaKey       = "key"        // the name of the key that seals vectors; absent for none
	metaFile      = "file"       // a random ID of this database; see commitCounter
	metaContents  = "contents"   // what is in the file; see totals
	metaPending   = "resealing"  // what is being done to the vectors; see conversion
	metaUnbound   = "unbound"    // while they are not, some may be sealed without the owner
	metaSealed    = "sealed "    // and the name of a key: how many vectors it has sealed at most
)

// checkSpace compares the space of the file with the one configured.
func (f *File) checkSpace(space ports.Space) error {
	switch id := f.meta[metaSpace]; id {
	case space.ID():
		return nil
	case "":
		return errors.New("its embedding space cannot be read: its table meta has none")
	default:
		return space.Mismatch("it", cmp.Or(f.meta[metaSpaceName], id), "set store.memory.path to a new file")
	}
}
